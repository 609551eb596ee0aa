//! What the pages of the documentation say about this stage.

use suite::pages;
use suite::pages::Program;
use suite::pages::Project;
use suite::pages::stage;
use suite::tour;
use suite::tour::Tour;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_stage3_secure_multi"))
}

#[test]
fn console_blocks_show_what_they_say() {
    pages::report(stage::consoles(&Project::this(), &program()));
}

#[test]
fn the_tour_is_quoted_as_it_is() {
    pages::report(stage::tours(&Project::this(), &program()));
}

#[test]
fn options_and_commands_exist() {
    pages::report(stage::help(&Project::this(), &program()));
}

/// The bytes of a tour on a page are those of one that its reader never sees: what is said of them
/// has to hold there, too.
#[test]
fn the_flipped_bit_on_the_pages_is_one() {
    let project = Project::this();
    let mut shown = 0;
    for path in ["README.md", "docs/stage3_secure_multi.md"] {
        let page = project.page(path);
        for block in page.blocks.iter().filter(|block| block.text.contains("as he passed it on")) {
            let rows = block.text.lines().filter(|line| line.starts_with("      "));
            let rows = rows.map(str::to_owned).collect::<Vec<_>>();
            let [sent, passed_on] = [&rows[..2], &rows[2..]].map(tour::bytes);
            let same = |(a, b): &(&u8, &u8)| a == b;
            let before = sent.iter().zip(&passed_on).take_while(same).count();
            assert_eq!((sent.len(), passed_on.len(), before), (32, 32, 29), "{path}");
            assert_eq!(sent[29] ^ passed_on[29], b'1' ^ b'9', "{path}");
            assert_eq!(sent[30..], passed_on[30..], "{path}");
            let change = format!("`{:02x}`, into `{:02x}`", sent[29], passed_on[29]);
            assert!(path != "README.md" || page.text.contains(&change), "{change}");
            shown += 1;
        }
    }
    assert_eq!(shown, 2);
}

#[test]
fn the_records_of_one_sentence_on_the_page_have_only_their_length_in_common() {
    let project = Project::this();
    let blocks = &project.page("docs/stage3_secure_multi.md").blocks;
    let block = blocks.iter().find(|block| block.text.contains("server -> carol")).unwrap();
    let lines = block.text.lines().map(str::to_owned).collect::<Vec<_>>();
    // Of one frame the packets are left out on a page.
    let lines = lines.iter().map(|line| line.replace("[..]", "1")).collect::<Vec<_>>();
    let [_, bob, carol] = Tour::frames(&lines).try_into().ok().unwrap();
    assert_eq!((bob.bytes.len(), carol.bytes.len()), (83, 83));
    let same = bob.bytes[5..].iter().zip(&carol.bytes[5..]).filter(|(a, b)| a == b).count();
    assert!(same < 10, "{same}");
}
