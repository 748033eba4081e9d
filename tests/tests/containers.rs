//! What the files for containers have to agree on with the workspace; they are brought up for real by `make compose`.

use std::path::Path;

fn read(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above");
    std::fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn the_image_build_knows_every_member_of_the_workspace() {
    let (workspace, dockerfile, ignore) =
        (read("Cargo.toml"), read("deploy/Dockerfile"), read(".dockerignore"));
    let members = workspace.split_once("\nmembers = [").and_then(|(_, rest)| rest.split_once(']'));
    let members: Vec<_> = members.expect("a list of members").0.split('"').skip(1).step_by(2).collect();
    assert!(members.contains(&"auth-server"), "{members:?}");
    for member in members {
        let line = format!("COPY {member}/Cargo.toml {member}/");
        assert!(dockerfile.lines().any(|found| found == line), "deploy/Dockerfile has no line `{line}`");
        let sent = ignore.lines().filter_map(|line| line.strip_prefix('!'));
        let sent =
            sent.into_iter().any(|sent| format!("{member}/Cargo.toml/").starts_with(&format!("{sent}/")));
        assert!(sent, ".dockerignore keeps {member}/Cargo.toml from the build");
    }
}

#[test]
fn our_images_carry_the_version_of_the_workspace() {
    let compose = read("docker-compose.yml");
    let images: Vec<_> =
        compose.lines().filter_map(|line| line.trim().strip_prefix("image: doorward-")).collect();
    assert_eq!(images.len(), 4, "{images:?}");
    for image in images {
        let tag = image.rsplit_once(':').map(|(_, tag)| tag);
        assert_eq!(tag, Some(env!("CARGO_PKG_VERSION")), "{image}");
    }
}
