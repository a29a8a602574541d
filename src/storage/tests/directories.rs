//! Whose directories these are.

use super::*;
use crate::storage::Importing;
use crate::storage::lock::DirectoryLock;

fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

#[test]
fn a_second_opener_is_refused_and_told_who_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (storage, _) = open_at(dir.path()).unwrap();
    let error = refusal(dir.path());
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    assert!(
        text.contains(&format!("pid {}", std::process::id())),
        "{text}"
    );
    // As long as one half is open, so is the store.
    let (log, state) = storage.split();
    drop(log);
    assert!(matches!(refusal(dir.path()), StorageError::InUse { .. }));
    drop(state);
    open_at(dir.path()).unwrap();
}

#[test]
fn a_lock_file_left_behind_is_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("LOCK"), "4711\n").unwrap();
    DirectoryLock::take(dir.path()).unwrap();
}

#[test]
fn a_java_directory_is_refused_and_not_touched() {
    for name in ["snapshot.0", "log.1"] {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("version-2")).unwrap();
        fs::write(dir.path().join("version-2").join(name), b"ZKSN").unwrap();
        let before = tree(dir.path());
        let error = refusal(dir.path());
        assert!(matches!(error, StorageError::JavaData { .. }), "{error}");
        assert!(
            error.to_string().contains(&format!("version-2/{name}")),
            "{error}"
        );
        assert_eq!(tree(dir.path()), before);
    }
}

#[test]
fn a_store_beside_which_java_went_on_is_not_started_from() {
    let (dir, log_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = |dir: &Path| dir.join("version-2");
    for dir in [&dir, &log_dir] {
        fs::create_dir(files(dir.path())).unwrap();
    }
    fs::write(files(dir.path()).join("snapshot.5"), b"ZKSN").unwrap();
    fs::write(files(log_dir.path()).join("log.1"), b"ZKLG").unwrap();
    let start = StorageConfig {
        data_log_dir: log_dir.path().to_owned(),
        ..config(dir.path())
    };
    let import = StorageConfig {
        beside_java: true,
        ..start.clone()
    };
    let importing = Importing::begin(dir.path()).unwrap();
    open(&import, &mut Restored::default()).map(drop).unwrap();
    importing.outdates(dir.path(), log_dir.path()).unwrap();
    importing.end().unwrap();
    let started = || open(&start, &mut Restored::default()).map(drop);
    started().unwrap();
    for (base, name) in [(&dir, "snapshot.9"), (&log_dir, "log.6")] {
        let path = files(base.path()).join(name);
        fs::write(&path, b"").unwrap();
        let error = started().unwrap_err();
        assert!(matches!(error, StorageError::JavaWentOn { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("version-2/{name}")), "{text}");
        fs::remove_file(path).unwrap();
        started().unwrap();
    }
}

#[test]
fn java_files_in_the_log_directory_alone_are_refused_too() {
    let (dir, log_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::create_dir(log_dir.path().join("version-2")).unwrap();
    fs::write(log_dir.path().join("version-2/log.1"), b"ZKLG").unwrap();
    let config = StorageConfig {
        data_log_dir: log_dir.path().to_owned(),
        ..config(dir.path())
    };
    let error = open(&config, &mut Restored::default())
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, StorageError::JavaData { .. }), "{error}");
    assert_eq!(tree(dir.path()), [] as [PathBuf; 0]);
}

#[test]
fn what_operators_leave_in_a_data_directory_is_tolerated() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("myid"), "1").unwrap();
    fs::write(dir.path().join("initialize"), "").unwrap();
    fs::write(dir.path().join("zookeeper_server.pid"), "1").unwrap();
    fs::create_dir(dir.path().join("lost+found")).unwrap();
    fs::create_dir(dir.path().join("version-2")).unwrap();
    fs::write(dir.path().join("version-2/acceptedEpoch"), "0").unwrap();
    open_at(dir.path()).unwrap();
}

#[test]
fn another_format_is_refused_and_not_touched() {
    for store in ["log", "state"] {
        for (text, part) in [
            (
                &b"ferrokeeper STORE\nformat 2\nstore 0\n"[..],
                "newer Ferrokeeper (format 2",
            ),
            (b"ferrokeeper STORE\nformat x\nstore 0\n", "names no format"),
            (b"ferrokeeper STORE\nformat 1\n", "names no store"),
            (b"\xff\xfe\x00garbage", "does not begin with"),
            (b"", "does not begin with"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            drop(open_at(dir.path()).unwrap());
            let path = dir.path().join("ferrokeeper").join(store).join("FORMAT");
            let text = String::from_utf8_lossy(text).replace("STORE", store);
            fs::write(&path, &text).unwrap();
            let before = tree(dir.path());
            let error = refusal(dir.path());
            assert!(error.to_string().contains(part), "{error}");
            assert_eq!(error.exit_code(), 3);
            assert_eq!(tree(dir.path()), before);
        }
    }
}

#[test]
fn a_directory_of_something_else_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let own = dir.path().join("ferrokeeper/log");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("precious.doc"), "text").unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
    assert!(error.to_string().contains("precious.doc"), "{error}");
    assert_eq!(fs::read(own.join("precious.doc")).unwrap(), b"text");
}

#[test]
fn a_first_start_that_was_cut_short_is_started_again() {
    // What may be there, in the order in which it is written.
    let steps: [&[&str]; 4] = [
        &[],
        &["log/ack-mark.tmp"],
        &["log/FORMAT.tmp"],
        &["state/FORMAT.tmp"],
    ];
    for present in steps {
        let dir = tempfile::tempdir().unwrap();
        for store in ["log", "state"] {
            fs::create_dir_all(dir.path().join("ferrokeeper").join(store)).unwrap();
        }
        for file in present {
            fs::write(dir.path().join("ferrokeeper").join(file), "half").unwrap();
        }
        open_at(dir.path()).unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    drop(open_at(dir.path()).unwrap());
    fs::remove_dir_all(dir.path().join("ferrokeeper/state")).unwrap();
    fs::remove_dir_all(log_db(dir.path())).unwrap();
    open_at(dir.path()).unwrap();
}

#[test]
fn log_and_state_have_to_belong_together() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let pair = |data: usize, log: usize| StorageConfig {
        data_log_dir: dirs[log].path().to_owned(),
        ..config(dirs[data].path())
    };
    drop(open(&pair(0, 1), &mut Restored::default()).unwrap());
    drop(open(&pair(2, 3), &mut Restored::default()).unwrap());
    let error = open(&pair(0, 3), &mut Restored::default())
        .map(drop)
        .unwrap_err();
    assert!(
        error.to_string().contains("belongs to another state"),
        "{error}"
    );

    // A dataLogDir that was changed, or a volume that is not mounted.
    let empty = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        data_log_dir: empty.path().to_owned(),
        ..pair(0, 1)
    };
    let error = open(&config, &mut Restored::default())
        .map(drop)
        .unwrap_err();
    assert!(error.to_string().contains("is not there"), "{error}");
    drop(open(&pair(0, 1), &mut Restored::default()).unwrap());
}

#[test]
fn a_log_moved_to_a_directory_of_its_own_is_found_there() {
    let (dir, log_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut storage, _) = open_at(dir.path()).unwrap();
    append(&mut storage.log, 1..=3, 10);
    drop(storage);
    let target = log_dir.path().join("ferrokeeper/log");
    fs::create_dir_all(&target).unwrap();
    let source = dir.path().join("ferrokeeper/log");
    copy_tree(&source, &target);
    fs::remove_dir_all(source).unwrap();
    let config = StorageConfig {
        data_log_dir: log_dir.path().to_owned(),
        ..config(dir.path())
    };
    let storage = open(&config, &mut Restored::default()).unwrap();
    assert_eq!(storage.log.last_zxid(), 3);
}

#[test]
fn directories_that_were_mixed_up_are_no_new_server() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let right = StorageConfig {
        data_log_dir: two.path().to_owned(),
        ..config(one.path())
    };
    drop(open(&right, &mut Restored::default()).unwrap());
    let swapped = StorageConfig {
        data_log_dir: one.path().to_owned(),
        ..config(two.path())
    };
    let before = (tree(one.path()), tree(two.path()));
    let error = open(&swapped, &mut Restored::default())
        .map(drop)
        .unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let text = error.to_string();
    let java = "Log directory has snapshot files. Check if dataLogDir and dataDir configuration";
    assert!(text.starts_with(java), "{text}");
    assert_eq!((tree(one.path()), tree(two.path())), before);
    // Another spelling of the same directory is no second one.
    let dir = tempfile::tempdir().unwrap();
    drop(open_at(dir.path()).unwrap());
    let spelled = StorageConfig {
        data_log_dir: dir.path().join("../").join(dir.path().file_name().unwrap()),
        ..config(dir.path())
    };
    open(&spelled, &mut Restored::default()).unwrap();
}

#[test]
fn without_autocreate_a_missing_directory_is_an_error_in_javas_words() {
    let dir = tempfile::tempdir().unwrap();
    let config = StorageConfig {
        autocreate: false,
        ..config(dir.path())
    };
    let error = open(&config, &mut Restored::default())
        .map(drop)
        .unwrap_err();
    assert_eq!(error.exit_code(), 3);
    let expected = format!(
        "Missing data directory {}/ferrokeeper, automatic data directory creation is disabled \
         (zookeeper.datadir.autocreate is false). Please create this directory manually.",
        dir.path().display()
    );
    assert_eq!(error.to_string(), expected);
    // What Java's script creates will do.
    fs::create_dir(dir.path().join("version-2")).unwrap();
    drop(open(&config, &mut Restored::default()).unwrap());
    open(&config, &mut Restored::default()).unwrap();
}

#[test]
fn directories_that_cannot_be_made_or_written_say_so() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refusal(&file.join("data"));
    assert_eq!(error.exit_code(), 3);
    assert!(
        error
            .to_string()
            .starts_with("Unable to create data directory "),
        "{error}"
    );

    // The tests may run as root, who may write anywhere but not open a directory for writing.
    fs::create_dir_all(dir.path().join("ferrokeeper/log/LOCK")).unwrap();
    let error = refusal(dir.path());
    assert_eq!(error.exit_code(), 3);
    assert!(
        error
            .to_string()
            .starts_with("Cannot write to data directory "),
        "{error}"
    );
}

#[test]
fn the_ballast_comes_back_when_it_was_given_up() {
    let dir = tempfile::tempdir().unwrap();
    drop(open_at(dir.path()).unwrap());
    let ballast = dir.path().join("ferrokeeper/log/ballast");
    let len = fs::metadata(&ballast).map_or(0, |m| m.len());
    assert!(len >= 8 << 20, "{len}");
    fs::remove_file(&ballast).unwrap();
    drop(open_at(dir.path()).unwrap());
    assert_eq!(fs::metadata(&ballast).unwrap().len(), len);
}
