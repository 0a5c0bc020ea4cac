//! The upload folders: what is in them, and what is done with it.
//!
//! Whoever uploads is not trusted. Every name is looked up in a folder that is open
//! already, no link is followed, and only a regular file with one name is read. A file is
//! the same one as before only by its inode, and unchanged only by its times and size.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, FcntlArg, OFlag, fcntl, openat, renameat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat, mkdirat};
use nix::sys::statvfs::fstatvfs;
use nix::unistd::{UnlinkatFlags, syncfs, unlinkat};

use super::state_file::whole_file;

/// The most entries of a folder that are looked at.
pub const MOST_ENTRIES: usize = 20_000;

/// What each file takes up beside its bytes: its inode and its place in the folder.
const PER_FILE: u64 = 4096;

/// Which file it is, and by what a change of it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Device and inode.
    pub id: (u64, u64),
    /// In bytes.
    pub size: u64,
    /// When it was written, in seconds since 1970 and nanoseconds.
    pub modified: (i64, i64),
    /// When it was written, renamed or given another mode; nobody can set this time.
    pub changed: (i64, i64),
}

impl Stamp {
    fn new(found: &FileStat) -> Stamp {
        Stamp {
            id: (found.st_dev, found.st_ino),
            size: u64::try_from(found.st_size).unwrap_or(0),
            modified: (found.st_mtime, found.st_mtime_nsec),
            changed: (found.st_ctime, found.st_ctime_nsec),
        }
    }

    /// What it takes up of a quota: so that as many files as are looked at fill any.
    pub fn room(&self, quota: u64) -> u64 {
        (self.size + PER_FILE).max(quota.div_ceil(MOST_ENTRIES as u64))
    }
}

/// An entry of an upload folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadEntry {
    /// Its name, as the camera gave it.
    pub name: OsString,
    /// Which file it is.
    pub stamp: Stamp,
    /// Whether it is a regular file with no other name.
    pub is_file: bool,
}

/// An open folder.
#[derive(Debug)]
pub struct UploadFolder {
    handle: OwnedFd,
}

impl UploadFolder {
    /// Opens a folder below another by its path, no part of which may be a link.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened.
    pub fn open(base: &Path, below: &[&str]) -> io::Result<UploadFolder> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let mut handle = nix::fcntl::open(base, flags, Mode::empty())?;
        for part in below {
            handle = openat(&handle, *part, flags | OFlag::O_NOFOLLOW, Mode::empty())?;
        }
        Ok(UploadFolder { handle })
    }

    /// Opens a folder in this one, and makes it if it is not there.
    ///
    /// # Errors
    /// Returns an error if it can be neither opened nor made.
    pub fn folder(&self, name: &str) -> io::Result<UploadFolder> {
        match mkdirat(&self.handle, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
        let handle = openat(&self.handle, name, flags, Mode::empty())?;
        Ok(UploadFolder { handle })
    }

    /// What is in it; of more than [`MOST_ENTRIES`], so many.
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub fn entries(&self) -> io::Result<Vec<UploadEntry>> {
        let again = openat(
            &self.handle,
            ".",
            OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let mut names = Vec::new();
        for entry in Dir::from_fd(again)?.iter().take(MOST_ENTRIES + 2) {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        let looked = names.into_iter().filter_map(|name| {
            // What is gone meanwhile is no entry any more.
            let found = self.look(&name).ok()?;
            let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
            Some(UploadEntry {
                name,
                stamp: Stamp::new(&found),
                is_file: kind == SFlag::S_IFREG && found.st_nlink == 1,
            })
        });
        Ok(looked.collect())
    }

    /// The first bytes of a file, `most` at the most; None if it is not this file any more,
    /// changed while it was read, or is being written: vsftpd has a lock on it for as long
    /// as the upload goes on, and removes it before it unlocks it if that failed
    /// (lock_upload_files, delete_failed_uploads; postlogin.c).
    ///
    /// # Errors
    /// Returns an error if it cannot be read.
    pub fn read(&self, entry: &UploadEntry, most: u64) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlag::O_RDONLY
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_NOCTTY
            | OFlag::O_CLOEXEC;
        let file = match openat(&self.handle, entry.name.as_os_str(), flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ELOOP) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        if !is_settled(&file, entry)? {
            return Ok(None);
        }
        let mut bytes =
            Vec::with_capacity(usize::try_from(entry.stamp.size.min(most)).unwrap_or(0));
        (&file).take(most).read_to_end(&mut bytes)?;
        let is_whole = bytes.len() as u64 == entry.stamp.size.min(most);
        Ok((is_settled(&file, entry)? && is_whole).then_some(bytes))
    }

    /// Has the disk take all that was written: what a power cut would lose until then.
    ///
    /// # Errors
    /// Returns an error if the disk does not take it.
    pub fn sync(&self) -> io::Result<()> {
        Ok(syncfs(self.handle.as_fd())?)
    }

    /// Removes an entry, if its name still stands for this file, as it was.
    ///
    /// # Errors
    /// Returns an error if it cannot be removed.
    pub fn remove(&self, entry: &UploadEntry) -> io::Result<()> {
        if self.has(entry) {
            let flags = UnlinkatFlags::NoRemoveDir;
            unlinkat(&self.handle, entry.name.as_os_str(), flags)?;
        }
        Ok(())
    }

    /// Moves an entry into another folder, if its name still stands for this file, as it was.
    ///
    /// # Errors
    /// Returns an error if it cannot be moved.
    pub fn move_to(&self, entry: &UploadEntry, to: &UploadFolder, name: &str) -> io::Result<()> {
        if self.has(entry) {
            renameat(&self.handle, entry.name.as_os_str(), &to.handle, name)?;
        }
        Ok(())
    }

    /// Whether the file system has little room for uploads: less than a tenth of it, and less
    /// than so many bytes, are free.
    ///
    /// # Errors
    /// Returns an error if the file system does not say.
    pub fn is_on_full_disk(&self, bytes: u64) -> io::Result<bool> {
        let found = fstatvfs(&self.handle)?;
        // Of another size on other architectures.
        #[allow(clippy::useless_conversion)]
        let (free, all): (u64, u64) = (found.blocks_available().into(), found.blocks().into());
        let free_bytes = free.saturating_mul(found.fragment_size());
        Ok(free < all / 10 && free_bytes < bytes)
    }

    /// Whether the FTP server may make files here: by the group's right to write.
    ///
    /// # Errors
    /// Returns an error if the folder is not this user's.
    pub fn take_uploads(&self, takes: bool) -> io::Result<()> {
        let wanted = match takes {
            true => 0o770,
            false => 0o750,
        };
        let found = fstat(&self.handle)?;
        if found.st_mode & 0o7777 != wanted {
            fchmod(&self.handle, Mode::from_bits_truncate(wanted))?;
        }
        Ok(())
    }

    fn has(&self, entry: &UploadEntry) -> bool {
        let found = self.look(&entry.name);
        found.is_ok_and(|found| Stamp::new(&found) == entry.stamp)
    }

    fn look(&self, name: &OsStr) -> nix::Result<FileStat> {
        fstatat(&self.handle, name, AtFlags::AT_SYMLINK_NOFOLLOW)
    }
}

/// Whether an open file is still what the entry says, and nobody is writing it.
fn is_settled(file: &File, entry: &UploadEntry) -> io::Result<bool> {
    let found = fstat(file.as_fd())?;
    let kind = SFlag::from_bits_truncate(found.st_mode & SFlag::S_IFMT.bits());
    if kind != SFlag::S_IFREG || found.st_nlink != 1 || Stamp::new(&found) != entry.stamp {
        return Ok(false);
    }
    let mut lock = whole_file(libc::F_RDLCK);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock))?;
    Ok(i32::from(lock.l_type) == libc::F_UNLCK)
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    type Done = Result<(), Box<dyn Error>>;

    /// A folder that is gone with the test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> io::Result<Scratch> {
            let path =
                std::env::temp_dir().join(format!("camfw-mail-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("porch/incoming"))?;
            Ok(Scratch(path))
        }

        fn incoming(&self) -> PathBuf {
            self.0.join("porch/incoming")
        }

        fn open(&self) -> io::Result<UploadFolder> {
            UploadFolder::open(&self.0, &["porch", "incoming"])
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_regular_files_with_one_name_are_files() -> Done {
        let scratch = Scratch::new("kinds")?;
        let incoming = scratch.incoming();
        fs::write(incoming.join("picture"), "x")?;
        fs::write(incoming.join("one"), "x")?;
        fs::hard_link(incoming.join("one"), incoming.join("two"))?;
        symlink("/etc/passwd", incoming.join("link"))?;
        fs::create_dir(incoming.join("folder"))?;
        nix::unistd::mkfifo(&incoming.join("fifo"), Mode::S_IRWXU)?;
        let folder = scratch.open()?;
        let entries = folder.entries()?;
        assert_eq!(entries.len(), 6);
        for entry in entries {
            assert_eq!(entry.is_file, entry.name == "picture", "{entry:?}");
            let read = folder.read(&entry, 100).unwrap_or_default();
            assert_eq!(read.is_some(), entry.is_file, "{entry:?}");
        }
        Ok(())
    }

    /// A camera that uploads files of one byte without end.
    #[test]
    fn so_many_files_fill_a_quota_whatever_their_size() -> Done {
        let scratch = Scratch::new("many")?;
        for number in 0..MOST_ENTRIES + 5 {
            fs::write(scratch.incoming().join(number.to_string()), "x")?;
        }
        let entries = scratch.open()?.entries()?;
        assert_eq!(entries.len(), MOST_ENTRIES);
        for quota in [1 << 20, 50 << 20, 1 << 40, (1 << 40) + 1] {
            let room: u64 = entries.iter().map(|entry| entry.stamp.room(quota)).sum();
            assert!(room >= quota, "{quota}");
        }
        // Of a quota that few fill, files take what they are.
        assert_eq!(entries[0].stamp.room(1 << 20), 1 + PER_FILE);
        Ok(())
    }

    #[test]
    fn what_changes_or_is_locked_is_not_read() -> Done {
        let scratch = Scratch::new("changes")?;
        let path = scratch.incoming().join("picture");
        fs::write(&path, "half")?;
        let folder = scratch.open()?;
        let entry = folder.entries()?.remove(0);
        assert_eq!(folder.read(&entry, 100)?.as_deref(), Some(&b"half"[..]));
        assert_eq!(folder.read(&entry, 2)?.as_deref(), Some(&b"ha"[..]));
        let writer = fs::OpenOptions::new().write(true).open(&path)?;
        fcntl(&writer, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK)))?;
        assert_eq!(folder.read(&entry, 100)?, None);
        drop(writer);
        assert!(folder.read(&entry, 100)?.is_some());
        fs::write(&path, "whole now")?;
        assert_eq!(folder.read(&entry, 100)?, None);
        // What was sent is another file by now, even if of the same inode.
        folder.remove(&entry)?;
        assert!(path.exists());
        // Another file of the same name is not removed in its place.
        fs::rename(&path, scratch.0.join("away"))?;
        fs::write(&path, "other")?;
        folder.remove(&entry)?;
        assert!(path.exists());
        folder.remove(&folder.entries()?.remove(0))?;
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn no_folder_is_reached_by_a_link() -> Done {
        let scratch = Scratch::new("links")?;
        symlink(scratch.0.join("porch"), scratch.0.join("garden"))?;
        assert!(UploadFolder::open(&scratch.0, &["garden", "incoming"]).is_err());
        let folder = scratch.open()?;
        symlink("/tmp", scratch.incoming().join("sent"))?;
        assert!(folder.folder("sent").is_err());
        Ok(())
    }

    #[test]
    fn uploads_are_refused_by_the_folders_mode() -> Done {
        let scratch = Scratch::new("modes")?;
        let folder = scratch.open()?;
        for (takes, mode) in [(false, 0o750), (true, 0o770)] {
            folder.take_uploads(takes)?;
            let found = fs::metadata(scratch.incoming())?.permissions().mode();
            assert_eq!(found & 0o7777, mode);
        }
        Ok(())
    }
}
