//! Where the starter model lies: the checkpoint of our own that every installation brings along.

use std::path::{Path, PathBuf};

/// Its folder's name, wherever that is.
const NAME: &str = "starter";
/// What makes a folder a checkpoint's.
const CONFIG: &str = "config.yaml";

/// The starter model's checkpoint folder.
///
/// # Errors
/// The folders where it was looked for, if it is in none of them.
pub fn starter_model() -> Result<PathBuf, Vec<PathBuf>> {
    // A program that does not know where it lies has nothing beside it.
    let places = std::env::current_exe().map(|program| places(&program)).unwrap_or_default();
    found(&places).ok_or(places)
}

/// Beside the program, as in an archive that was unpacked; below the prefix that it is installed in; in the repository whose
/// `target` it was built in.
fn places(program: &Path) -> Vec<PathBuf> {
    let folder = program.parent();
    let beside = folder.map(|folder| folder.join("models"));
    let installed = folder.and_then(Path::parent).map(|prefix| prefix.join("share/orfeas/models"));
    let target = program.ancestors().find(|folder| folder.file_name().is_some_and(|name| name == "target"));
    let built = target.and_then(Path::parent).map(|repository| repository.join("models"));
    [beside, installed, built].into_iter().flatten().map(|models| models.join(NAME)).collect()
}

fn found(places: &[PathBuf]) -> Option<PathBuf> {
    places.iter().find(|folder| folder.join(CONFIG).is_file()).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_where_a_program_is_unpacked_installed_or_built() {
        let told = |program: &str| {
            places(Path::new(program)).iter().map(|place| place.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            told("/usr/local/bin/orfeas"),
            ["/usr/local/bin/models/starter", "/usr/local/share/orfeas/models/starter"]
        );
        let built = told("/src/orfeas/target/release/deps/engine-1");
        assert_eq!(built.last().map(String::as_str), Some("/src/orfeas/models/starter"));
    }

    #[test]
    fn the_first_place_that_has_a_checkpoint_is_taken() {
        let prefix = tempfile::tempdir().unwrap();
        let places = places(&prefix.path().join("bin/orfeas"));
        assert_eq!(found(&places), None);
        std::fs::create_dir_all(&places[0]).unwrap();
        assert_eq!(found(&places), None, "a folder without a checkpoint is none");
        std::fs::create_dir_all(&places[1]).unwrap();
        std::fs::write(places[1].join(CONFIG), "").unwrap();
        assert_eq!(found(&places), Some(places[1].clone()));
    }
}
