use std::collections::BTreeMap;
use std::ffi::OsStr;

use proptest::prelude::*;
use serde::Deserialize;

use super::NotAFileName::*;
use super::*;

/// Names as somebody hostile would choose them.
#[derive(Deserialize)]
pub struct Hostile {
    /// By the sentence with which they are refused.
    refused: BTreeMap<String, Vec<String>>,
    /// Plain text that nothing here decodes, expands or executes, and what only looks like others.
    harmless: Vec<String>,
}

impl Hostile {
    /// All of them, with the sentence for those that are refused.
    pub fn all() -> Vec<(String, Option<String>)> {
        let listed = serde_json::from_str::<Hostile>(include_str!("hostile.json")).unwrap();
        let refused = listed.refused.into_iter().flat_map(|(sentence, names)| {
            names.into_iter().map(move |name| (name, Some(sentence.clone())))
        });
        let harmless = listed.harmless.into_iter().map(|name| (name, None));
        let too_long = |name: String, bytes: usize| {
            let sentence = format!("the file name has {bytes} bytes, and at most 200 are allowed");
            (name, Some(sentence))
        };
        // Also where they are few characters, and whatever else is wrong with them.
        let long = [
            too_long("x".repeat(201), 201),
            too_long("x".repeat(255), 255),
            too_long("é".repeat(101), 202),
            too_long("👩".repeat(51), 204),
            too_long("../".repeat(10_000), 30_000),
            too_long(" ".repeat(300), 300),
            too_long(format!("x{}.exe", " ".repeat(200)), 205),
            ("x".repeat(200), None),
            ("é".repeat(100), None),
            (format!("{}.tar.gz", "x".repeat(193)), None),
        ];
        refused.chain(harmless).chain(long).collect()
    }
}

#[test]
fn hostile_names_are_refused_for_what_they_are() {
    let names = Hostile::all();
    let refused = names.iter().filter(|(_, sentence)| sentence.is_some()).count();
    assert!(refused >= 200, "{refused}");
    for (name, sentence) in names {
        match name.parse::<FileName>() {
            Ok(parsed) => assert_eq!((parsed.to_string(), None), (name, sentence)),
            Err(reason) => assert_eq!(Some(reason.to_string()), sentence, "{name:?}"),
        }
    }
}

#[test]
fn every_device_in_any_case_with_and_without_an_extension() {
    let mut devices = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].map(str::to_owned).to_vec();
    for port in ["COM", "LPT"] {
        devices.extend("0123456789¹²³".chars().map(|number| format!("{port}{number}")));
    }
    assert_eq!(devices.len(), 32);
    for device in devices {
        for name in [device.clone(), device.to_lowercase()] {
            for end in ["", ".txt", ".tar.gz", " .txt", "..txt"] {
                assert_eq!(format!("{name}{end}").parse::<FileName>(), Err(Device), "{name}{end}");
            }
            assert!(format!("{name}x").parse::<FileName>().is_ok(), "{name}x");
            assert!(format!("x{name}").parse::<FileName>().is_ok(), "x{name}");
        }
    }
}

#[test]
fn refusals_are_safe_to_show() {
    for sentence in Hostile::all().into_iter().filter_map(|(_, sentence)| sentence) {
        assert_eq!(escape::text(&sentence), sentence);
    }
}

#[test]
fn what_a_local_file_is_called() {
    let of = |path: &str| FileName::of(Path::new(path)).map(|name| name.to_string());
    assert_eq!(of("report.pdf"), Ok("report.pdf".into()));
    assert_eq!(of("/home/alice/report.pdf"), Ok("report.pdf".into()));
    assert_eq!(of("../report.pdf"), Ok("report.pdf".into()));
    for path in ["", "/", "..", "x/.."] {
        assert_eq!(of(path), Err(NoName), "{path}");
    }
    assert_eq!(of("/home/alice/.bashrc"), Err(DotAtStart));
    assert_eq!(of("x/-rf"), Err(DashAtStart));
}

#[cfg(unix)]
#[test]
fn a_local_name_that_is_no_text() {
    use std::os::unix::ffi::OsStrExt;

    assert_eq!(FileName::of(Path::new(OsStr::from_bytes(b"x/\xff"))), Err(NotText));
}

#[test]
fn numbers_go_before_the_extension() {
    for (name, second) in [
        ("report.pdf", "report (1).pdf"),
        ("x.tar.gz", "x.tar (1).gz"),
        ("README", "README (1)"),
        ("x (1).txt", "x (1) (1).txt"),
    ] {
        let name = name.parse::<FileName>().unwrap();
        assert_eq!(name.numbered(0), name.as_str());
        assert_eq!(name.numbered(1), second);
    }
    let longest = "x".repeat(MAX_LENGTH).parse::<FileName>().unwrap();
    assert!(longest.numbered(u32::MAX).len() <= 255);
}

/// Letters, and what is dangerous between them.
pub fn any_name() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        6 => "[a-zA-Z0-9]{1,6}",
        2 => any::<char>().prop_map(String::from),
        3 => prop::sample::select(&["..", ".", "-", "/", "\\", " ", ":", "~", "con", "COM1", "é", "日本"][..])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    /// What the rules mean, said in another way than they are written.
    #[test]
    fn what_passes_is_one_plain_component_of_a_path(name in any_name()) {
        if let Ok(parsed) = name.parse::<FileName>() {
            prop_assert_eq!(parsed.as_str(), &name);
            let path = Path::new("downloads").join(&name);
            prop_assert_eq!(path.parent(), Some(Path::new("downloads")));
            prop_assert_eq!(path.file_name(), Some(OsStr::new(&name)));
            prop_assert!((1..=200).contains(&name.len()));
            prop_assert_eq!(name.trim_end_matches(['.', ' ']), &name);
            prop_assert!(!name.starts_with(['.', '-']));
            prop_assert!(!name.contains(['/', '\\', ':', '<', '>', '"', '|', '?', '*', '\0']));
            prop_assert_eq!(escape::text(&name), name.clone());
            prop_assert!(name.parse::<FileName>().unwrap().numbered(1).parse::<FileName>().is_ok()
                || name.len() > 196);
        }
    }

    #[test]
    fn ordinary_names_pass(name in r"[a-zA-Z0-9äöüß_][a-zA-Z0-9äöüß_ ()]{0,40}[a-zA-Z0-9]\.(pdf|txt|tar\.gz)") {
        prop_assume!(!is_device(&name));
        prop_assert!(name.parse::<FileName>().is_ok());
    }
}
