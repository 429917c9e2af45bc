//! Mesh files on disk, and what is said of them.

use std::fs::File;
use std::path::Path;

use orfeas_contract::{Format, PrintReport, WallSampling};
use orfeas_surface::{FileOptions, Mesh};

use crate::exit::{Ended, Exit, say};

/// Larger files are not read.
const MAX_BYTES: u64 = 4 << 30;

/// The format that a path's suffix names; STL where it has none and is no plain file (a pipe, a device).
pub fn format_of(path: &Path) -> Result<Format, Exit> {
    match Format::of_file_name(&path.to_string_lossy()).map_err(Exit::usage)? {
        Some(format) => Ok(format),
        None if std::fs::metadata(path).is_ok_and(|there| !there.is_file() && !there.is_dir()) => Ok(Format::Stl),
        None => {
            let formats = Format::ALL.map(|format| format.to_string()).join(", ");
            Err(Exit::usage(format!("{} has no suffix that names a format: {formats}", path.display())))
        }
    }
}

/// Whether a file can be written at a path, before much is computed for it.
pub fn writable(path: &Path) -> Ended {
    let there = std::fs::metadata(path).ok();
    let folder = folder_of(path);
    if there.as_ref().is_some_and(std::fs::Metadata::is_dir) {
        return Err(Exit::usage(format!("{} is a folder; name a file in it", path.display())));
    }
    match there {
        Some(there) if there.permissions().readonly() => Err(read_only(path)),
        // It is written beside and renamed; what is no plain file is written to.
        Some(there) if !there.is_file() => Ok(()),
        _ if !folder.is_dir() => Err(Exit::usage(format!("there is no folder {}", folder.display()))),
        _ => tempfile::tempfile_in(folder).map(drop).map_err(|error| cannot(path, &error)),
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read_only(path: &Path) -> Exit {
    Exit::other(format!("{} cannot be written: it may only be read", path.display()))
}

/// The name of the object in a file.
pub fn name_of(path: &Path) -> String {
    path.file_stem().map_or_else(|| "mesh".into(), |stem| stem.to_string_lossy().into_owned())
}

/// A mesh from disk, in millimetres and Z up whatever its format.
pub fn read_mesh(file: &Path) -> Result<Mesh, Exit> {
    let usage = |error: std::io::Error| Exit::usage(format!("{}: {error}", file.display()));
    let size = std::fs::metadata(file).map_err(usage)?.len();
    if size > MAX_BYTES {
        return Err(Exit::other(format!("{}: {size} bytes; at most {MAX_BYTES} are read", file.display())));
    }
    let bytes = std::fs::read(file).map_err(usage)?;
    // What the bytes look like counts where the suffix says nothing.
    let format = Format::of_file_name(&file.to_string_lossy()).ok().flatten();
    orfeas_surface::read(&bytes, format).map_err(|error| Exit::other(format!("{}: {error}", file.display())))
}

/// Writes a mesh; a 3MF gets a picture where none is given.
pub fn write_mesh(path: &Path, mesh: &Mesh, format: Format, options: &FileOptions<'_>) -> Ended {
    let failed = |error: orfeas_surface::SurfaceError| Exit::other(format!("{}: {error}", path.display()));
    let mut options = *options;
    let drawn;
    if format == Format::ThreeMf && options.thumbnail.is_none() {
        drawn = orfeas_surface::thumbnail(mesh).map_err(failed)?;
        options.thumbnail = Some(&drawn);
    }
    replace(path, |file| orfeas_surface::write_to(mesh, format, &options, file).map_err(failed))
}

/// Writes bytes to a file.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Ended {
    replace(path, |file| std::io::Write::write_all(file, bytes).map_err(|error| cannot(path, &error)))
}

fn cannot(path: &Path, error: &std::io::Error) -> Exit {
    Exit::other(format!("{} cannot be written: {error}", path.display()))
}

/// Writes beside and renames, so that nobody ever sees half a file. What is there and is no plain file (a pipe, a device) is
/// written to; a link stays, and what it leads to is replaced; a file that may not be written to is not.
fn replace(path: &Path, fill: impl FnOnce(&mut File) -> Ended) -> Ended {
    let failed = |error: std::io::Error| cannot(path, &error);
    let leads_to;
    let (path, there) = match std::fs::metadata(path) {
        Ok(there) if !there.is_file() => {
            let mut file = File::options().write(true).open(path).map_err(failed)?;
            return fill(&mut file);
        }
        Ok(there) if there.permissions().readonly() => {
            return Err(read_only(path));
        }
        Ok(there) => {
            leads_to = path.canonicalize().map_err(failed)?;
            (leads_to.as_path(), Some(there))
        }
        Err(_) => (path, None),
    };
    let folder = folder_of(path);
    let mut builder = tempfile::Builder::new();
    // A temporary file is for its owner only; a mesh is a file like any other, for whom the umask says.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut beside = builder.prefix(".orfeas-").tempfile_in(folder).map_err(failed)?;
    fill(beside.as_file_mut())?;
    if let Some(there) = there {
        beside.as_file().set_permissions(there.permissions()).map_err(failed)?;
    }
    beside.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// The print report, for people.
pub fn report_lines(report: &PrintReport) {
    let yes = |yes: bool| if yes { "yes" } else { "NO" };
    let [x, y, z] = report.bounds_mm;
    let genus = report.genus.map_or_else(|| "-".to_owned(), |genus| genus.to_string());
    say(format!("  triangles   {}   vertices {}   pieces {}", report.triangles, report.vertices, report.components));
    say(format!("  size        {x:.1} x {y:.1} x {z:.1} mm"));
    say(format!("  volume      {:.2} cm3   surface {:.2} cm2", report.volume_cm3, report.area_cm2));
    say(format!(
        "  watertight  {}   manifold {}   oriented {}   genus {genus}",
        yes(report.watertight),
        yes(report.manifold),
        yes(report.oriented)
    ));
    if let Some([x, y, z]) = report.centre_of_mass_mm {
        say(format!("  centre      {x:.1}, {y:.1}, {z:.1} mm"));
    }
    if let (Some(wall), Some(sampling)) = (report.wall_thickness_mm, &report.wall_thickness_sampling) {
        let WallSampling { samples, error_mm, .. } = sampling;
        say(format!("  thinnest    {wall:.2} mm ({samples} rays, {error_mm:.2} mm apart)"));
    }
    say(format!("  overhang    {:.2} cm2 beyond 45 degrees, the build plate aside", report.overhang_cm2));
    if let Some(error) = report.reduction_error_mm {
        say(format!("  reduced     within {error:.3} mm"));
    }
    if report.removed_components > 0 {
        say(format!(
            "  left out    {} pieces, far smaller than the largest or filled hollows",
            report.removed_components
        ));
    }
    say(format!("  printable   {}", yes(report.printable())));
    for reason in &report.reasons {
        say(format!("              {reason}"));
    }
    for warning in &report.warnings {
        say(format!("  warning     {warning}"));
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn what_is_no_plain_file_is_written_to_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        write_whole(Path::new("/dev/null"), b"nowhere").unwrap();
        assert!(std::fs::metadata("/dev/null").unwrap().file_type().is_char_device());

        let (real, link) = (folder.path().join("real.stl"), folder.path().join("link.stl"));
        std::fs::write(&real, "old").unwrap();
        symlink("real.stl", &link).unwrap();
        write_whole(&link, b"new").unwrap();
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
    }

    #[test]
    fn a_file_keeps_its_mode_and_one_that_may_only_be_read_stays() {
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        let chmod = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        let (new, like) = (folder.path().join("new.stl"), folder.path().join("like"));
        write_whole(&new, b"1").unwrap();
        std::fs::write(&like, "").unwrap();
        assert_eq!(mode(&new), mode(&like), "as the umask says");
        chmod(&new, 0o600);
        write_whole(&new, b"2").unwrap();
        assert_eq!((mode(&new), std::fs::read(&new).unwrap()), (0o600, b"2".to_vec()));
        chmod(&new, 0o444);
        assert!(write_whole(&new, b"3").is_err());
        assert_eq!(std::fs::read(&new).unwrap(), b"2");
    }
}
