//! What waits in a folder of no camera whose uploads are sent, as after its name was changed in
//! the file: nobody sends it, and nobody removes it, so it is told.

use std::io;

use super::Relay;
use crate::found::files;
use crate::host::upload::UploadFolder;
use crate::name;

impl Relay {
    /// Each such folder, in words.
    pub(super) fn unlisted(&self) -> io::Result<Vec<String>> {
        let (base, cameras) = (&self.settings.folder, &self.settings.cameras);
        let mut found = Vec::new();
        for entry in UploadFolder::open(base, &[])?.entries()? {
            let Some(folder) = entry.name.to_str().filter(|_| !entry.is_file) else {
                continue;
            };
            let incoming = match folder {
                "sent" => continue,
                "incoming" if cameras.is_empty() => continue,
                "incoming" => UploadFolder::open(base, &[folder]),
                listed if cameras.iter().any(|camera| camera == listed) => continue,
                _ => UploadFolder::open(base, &[folder, "incoming"]),
            };
            // Other people's folders are theirs.
            let Ok(count) = incoming.and_then(|it| Ok(it.entries()?.len())) else {
                continue;
            };
            if count > 0 {
                let path = name::shown(base.join(folder).as_os_str().as_encoded_bytes());
                found.push(format!(
                    "{path} has {} of no camera whose uploads are sent; move or remove what is in it",
                    files(count)
                ));
            }
        }
        Ok(found)
    }
}
