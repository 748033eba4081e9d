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

/// The layer of dependencies is built from manifests alone.
#[test]
fn the_manifests_make_a_workspace_with_empty_sources() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above");
    let dockerfile = read("deploy/Dockerfile");
    let folder = tempfile::tempdir().expect("a folder");
    let copied = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| line.contains("Cargo.toml")) {
        let mut words: Vec<_> = line.split(' ').collect();
        let into = folder.path().join(words.pop().expect("a destination"));
        std::fs::create_dir_all(&into).expect("a folder can be made");
        for file in words {
            let name = Path::new(file).file_name().expect("a file");
            std::fs::copy(root.join(file), into.join(name)).expect("it can be copied");
        }
    }
    let run = |program: &Path, arguments: &[&str]| {
        let done = std::process::Command::new(program).args(arguments).current_dir(folder.path()).output();
        let done = done.expect("it can be started");
        assert!(done.status.success(), "{program:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run(&root.join("deploy/stubs"), &[]);
    run(Path::new(env!("CARGO")), &["metadata", "--no-deps", "--format-version", "1"]);
}
