//! A new file that is there as a whole or not at all.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file that is being written, beside the place where it will be: only its owner can read it, and until
/// [`finish`](Self::finish) nothing is at that place, or what was there before.
#[derive(Debug)]
pub struct NewFile {
    place: PathBuf,
    beside: PathBuf,
    out: Option<BufWriter<File>>,
}

impl NewFile {
    /// Begins a file that will be at `place`. `unique` is part of its name until then.
    pub fn begin(place: &Path, unique: &str) -> io::Result<Self> {
        let mut name = OsString::from(".");
        name.push(place.file_name().unwrap_or_default());
        name.push(format!(".{unique}"));
        let beside = place.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let out = options.open(&beside)?;
        Ok(Self { place: place.to_owned(), beside, out: Some(BufWriter::new(out)) })
    }

    /// Puts the file in its place once all of it is on the disk.
    pub fn finish(mut self) -> io::Result<()> {
        let Some(out) = self.out.take() else { return Ok(()) };
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        fs::rename(&self.beside, &self.place)?;
        // The name has to survive a power cut as well.
        let folder = self.place.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        // After a rename there is nothing of this name; after a failure a part of a backup is of no use to anybody.
        let _ = fs::remove_file(&self.beside);
    }
}
