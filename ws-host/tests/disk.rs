//! Files in a folder on disk, and the numbers of network interfaces: what the host queries from the system.
#![allow(clippy::unwrap_used, clippy::panic)] // a panic is how a test fails

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use ws_host::web::{Disk, Files, Folder, Kind, Upload};

/// A folder with one page, removed when the test ends.
struct Temp(PathBuf);

impl Temp {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ws-host-{}-{name}", std::process::id()));
        fs::create_dir_all(path.join("sub")).unwrap();
        fs::write(path.join("page.html"), "<h1>page</h1>").unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_on_disk_serves_its_files() {
    let temp = Temp::new("folder");
    let folder: Folder<Disk> = Folder::new(&temp.0).unwrap();
    let request = http::Request::get("/page.html").body(bytes::Bytes::new()).unwrap();
    let (mut file, plan) = folder.open(&request.into()).unwrap();
    assert_eq!((plan.head.status(), plan.len()), (http::StatusCode::OK, 13));
    assert!(plan.head.headers().contains_key("last-modified"));
    let mut content = String::new();
    file.read_to_string(&mut content).unwrap();
    assert_eq!(content, "<h1>page</h1>");
    let request = http::Request::get("/other.html").body(bytes::Bytes::new()).unwrap();
    assert_eq!(folder.open(&request.into()).unwrap_err().status(), http::StatusCode::NOT_FOUND);
}

#[test]
fn the_disk_reports_kinds_and_modification_times() {
    let temp = Temp::new("kinds");
    let (page, none) = (temp.0.join("page.html"), temp.0.join("none"));
    assert_eq!(Disk.kind(&temp.0.join("sub")).unwrap(), Kind::Folder);
    assert_eq!(Disk.kind(&page).unwrap(), Kind::File);
    assert!(Disk.kind(&none).is_err() && Disk.open(&none).is_err() && Disk.modified(&none).is_none());
    assert_eq!(Disk.modified(&page), Disk.open(&page).unwrap().modified);
    #[cfg(unix)]
    assert_eq!(Disk.kind("/dev/null".as_ref()).unwrap(), Kind::Other);
}

#[cfg(target_os = "linux")]
#[test]
fn a_zone_is_the_number_of_its_interface_and_an_unknown_zone_an_error() {
    let addresses = |zone: &str| {
        let request = ws_proto::ClientRequest::new(&format!("ws://[fe80::1%25{zone}]:9/")).unwrap();
        ws_host::client::addresses(&request)
    };
    let found = addresses("lo").unwrap().unwrap();
    assert!(matches!(found[0], std::net::SocketAddr::V6(v6) if v6.scope_id() > 0), "{found:?}");
    assert!(addresses("nosuch0").is_err_and(|error| error.to_string().contains("\"nosuch0\"")));
}

#[test]
fn an_upload_gets_its_name_when_it_is_whole_and_overwrites_nothing() {
    let temp = Temp::new("upload");
    fs::write(temp.0.join("film.mp4"), "first").unwrap();
    let mut upload = Upload::create(&temp.0, "film.mp4").unwrap();
    let mut other = Upload::create(&temp.0, "/elsewhere/film.mp4").unwrap();
    upload.write(b"sec").unwrap();
    other.write(b"third").unwrap();
    upload.write(b"ond").unwrap();
    assert_eq!((upload.name(), upload.len()), ("film.mp4", 6));
    let names = || -> Vec<_> {
        let entries =
            fs::read_dir(&temp.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        entries.filter(|name| name.contains("film")).collect()
    };
    assert_eq!(names().iter().filter(|name| name.starts_with('.') && name.ends_with(".part")).count(), 2);
    assert_eq!(upload.finish().unwrap(), temp.0.join("film (1).mp4"));
    assert_eq!(other.finish().unwrap(), temp.0.join("film (2).mp4"));
    for (name, text) in [("film.mp4", "first"), ("film (1).mp4", "second"), ("film (2).mp4", "third")] {
        assert_eq!(fs::read_to_string(temp.0.join(name)).unwrap(), text);
    }
    assert_eq!(names().len(), 3);
}

#[test]
fn an_upload_that_is_dropped_leaves_nothing_behind() {
    let temp = Temp::new("cut");
    let before = fs::read_dir(&temp.0).unwrap().count();
    let mut upload = Upload::create(&temp.0, "film.mp4").unwrap();
    upload.write(b"half").unwrap();
    drop(upload);
    assert_eq!(fs::read_dir(&temp.0).unwrap().count(), before);
    // The folder has been removed in the meantime.
    let upload = Upload::create(temp.0.join("sub"), "film.mp4").unwrap();
    fs::remove_dir_all(temp.0.join("sub")).unwrap();
    assert!(upload.finish().is_err());
    assert!(Upload::create(temp.0.join("sub"), "film.mp4").is_err());
}

#[test]
fn an_upload_of_a_name_with_a_thousand_files_is_refused_before_its_body() {
    let temp = Temp::new("many");
    let path = |n| temp.0.join(if n == 0 { "a.txt".to_owned() } else { format!("a ({n}).txt") });
    (0..1000).for_each(|n| fs::write(path(n), "").unwrap());
    let error = Upload::create(&temp.0, "a.txt").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), r#"there are 1000 files named "a.txt", which is the limit"#);
    assert_eq!(fs::read_dir(&temp.0).unwrap().count(), 1002, "nothing was created");
    // Any free number will do.
    for n in [999, 500, 0] {
        fs::remove_file(path(n)).unwrap();
        assert_eq!(Upload::create(&temp.0, "a.txt").unwrap().finish().unwrap(), path(n));
    }
}

#[test]
fn abandoned_uploads_are_removed_and_nothing_else_is() {
    let temp = Temp::new("abandoned");
    let hour = std::time::Duration::from_secs(3600);
    let now = std::time::SystemTime::now();
    let parts = [
        (".film.mp4.0.part", now - hour),
        (".film.mp4.1.part", now - hour * 9),
        // Still being received, and a wrong clock.
        (".film.mp4.2.part", now - hour / 2),
        (".film.mp4.3.part", now + hour * 9),
        // Not ours.
        (".film.part", now - hour * 9),
        ("film.mp4", now - hour * 9),
    ];
    for (name, modified) in parts {
        let file = fs::File::create(temp.0.join(name)).unwrap();
        file.set_modified(modified).unwrap();
    }
    fs::create_dir(temp.0.join(".sub.0.part")).unwrap();
    assert_eq!(Upload::remove_abandoned(&temp.0, hour).unwrap(), 2);
    for (n, (name, _)) in parts.into_iter().enumerate() {
        assert_eq!(temp.0.join(name).exists(), n >= 2, "{name}");
    }
    assert!(temp.0.join(".sub.0.part").exists());
    assert!(Upload::remove_abandoned(temp.0.join("none"), hour).is_err());
}
