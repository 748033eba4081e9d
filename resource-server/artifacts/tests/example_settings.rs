//! The example settings that operators copy.

use std::path::Path;

use doorward_artifacts::config::Config;

#[test]
fn the_example_file_is_the_default_configuration() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/artifacts.toml");
    let example = Config::load(Some(&example), []).expect("the example can be read");
    let default = Config::load(None, []).expect("the default can be read");
    assert_eq!(example.describe(), default.describe());
}
