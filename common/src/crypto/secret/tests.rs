use std::collections::BTreeSet;

use serde::Deserialize;

use super::*;
use crate::crypto::vectors::Given;

/// A secret of `vectors/secret.json`, which `docs/interop/secret_vector.py` has printed.
#[derive(Deserialize)]
struct Known {
    key: String,
    text: String,
    from: Name,
    to: Name,
    sealed: String,
}

impl Known {
    fn names(&self) -> (&Name, &Name) {
        (&self.from, &self.to)
    }

    fn bytes(&self) -> Vec<u8> {
        unhex(&self.sealed).unwrap()
    }

    fn opened(&self, sealed: &[u8]) -> Result<Zeroizing<String>, NotOpened> {
        open(&self.key, sealed, self.names())
    }
}

fn known() -> Vec<Known> {
    #[derive(Deserialize)]
    struct File {
        tests: Vec<Known>,
    }
    let file = include_str!("../vectors/secret.json");
    serde_json::from_str::<File>(file).unwrap().tests
}

fn name(name: &str) -> Name {
    name.parse().unwrap()
}

/// Names and a sealed text of theirs, with the shortest text there is.
fn shortest() -> (Name, Name, Vec<u8>) {
    let (alice, bob) = (name("alice"), name("bob"));
    let mut rng = StdRng::seed_from_u64(1);
    let sealed = seal("key", "x", (&alice, &bob), &mut rng).unwrap();
    assert_eq!(sealed.len(), SEAL + 1);
    (alice, bob, sealed)
}

#[test]
fn what_another_implementation_seals_is_opened_and_sealed_here() {
    let mut texts = 0;
    for known in known() {
        let (sealed, text) = (known.bytes(), unhex(&known.text).unwrap());
        let Ok(text) = String::from_utf8(text) else {
            assert_eq!(known.opened(&sealed), Err(NotOpened::NotText));
            continue;
        };
        assert_eq!(known.opened(&sealed).as_deref(), Ok(&text));
        let mut rng = Given(&sealed);
        let again = seal(&known.key, &text, known.names(), &mut rng).unwrap();
        assert_eq!(hex(&again), known.sealed);
        texts += 1;
    }
    assert_eq!(texts, 5);
}

#[test]
fn no_other_key_opens_it() {
    let (alice, bob, sealed) = shortest();
    for key in ["", "ke", "keys", "Key", "key ", "k\u{435}y", "key\0"] {
        assert_eq!(open(key, &sealed, (&alice, &bob)), Err(NotOpened::WrongKey), "{key:?}");
    }
    assert_eq!(open("key", &sealed, (&alice, &bob)).as_deref(), Ok(&"x".to_owned()));
}

#[test]
fn it_opens_between_these_two_in_this_direction_alone() {
    let (alice, bob, sealed) = shortest();
    let (carol, alic, ebob) = (name("carol"), name("alic"), name("ebob"));
    for (from, to) in [(&bob, &alice), (&alice, &carol), (&carol, &bob), (&alic, &ebob)] {
        let opened = open("key", &sealed, (from, to));
        assert_eq!(opened, Err(NotOpened::WrongKey), "{from} to {to}");
    }
    let opened = open("key", &sealed, (&name("ALICE"), &name("Bob")));
    assert_eq!(opened.as_deref(), Ok(&"x".to_owned()), "the same two");
}

#[test]
fn a_change_anywhere_is_noticed() {
    let (alice, bob, sealed) = shortest();
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1 << (at % 8);
        assert_eq!(open("key", &changed, (&alice, &bob)), Err(NotOpened::WrongKey), "at {at}");
    }
    for length in 0..sealed.len() {
        assert_eq!(open("key", &sealed[..length], (&alice, &bob)), Err(NotOpened::WrongKey));
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(open("key", &longer, (&alice, &bob)), Err(NotOpened::WrongKey));
}

#[test]
fn the_same_text_is_never_the_same_secret() {
    let (alice, bob) = (name("alice"), name("bob"));
    let mut rng = StdRng::try_from_rng(&mut SysRng).unwrap();
    let sealed = [(); 3].map(|()| seal("key", "the same", (&alice, &bob), &mut rng).unwrap());
    for (from, to) in [(0, SALT), (SALT, SALT + NONCE), (SALT + NONCE, sealed[0].len())] {
        assert_eq!(sealed.iter().map(|bytes| &bytes[from..to]).collect::<BTreeSet<_>>().len(), 3);
    }
}

#[test]
fn files_on_their_way_are_shown_through_it() {
    struct Screen(Mutex<Vec<(u32, Option<Progress>)>>);
    impl Face for Screen {
        fn show(&self, _: &Event) -> io::Result<()> {
            Ok(())
        }
        fn progress(&self, id: u32, progress: Option<&Progress>) -> io::Result<()> {
            lock(&self.0).push((id, progress.cloned()));
            Ok(())
        }
    }
    let screen = Arc::new(Screen(Mutex::new(Vec::new())));
    let keeper = Keeper { face: Arc::clone(&screen) as _, secrets: Secrets::default() };
    let progress = Progress { title: "report.pdf from alice".to_owned(), done: 1, size: 2 };
    keeper.progress(7, Some(&progress)).unwrap();
    keeper.progress(7, None).unwrap();
    assert_eq!(*lock(&screen.0), [(7, Some(progress)), (7, None)]);
}
