//! What the pages of the documentation say about this stage.

use suite::pages;
use suite::pages::Program;
use suite::pages::Project;
use suite::pages::stage;
use suite::tour;
use suite::tour::Tour;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_stage5_file_secure"))
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
fn the_flipped_bit_on_the_page_is_one_and_the_sizes_are_right() {
    let project = Project::this();
    let blocks = &project.page("docs/stage5_file_secure.md").blocks;
    let lines = |words: &str| {
        let block = blocks.iter().find(|block| block.text.contains(words)).unwrap();
        block.text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let rows = lines("as he passed it on").into_iter();
    let rows = rows.filter(|line| line.starts_with("      ") && line.len() > 60);
    let rows = rows.collect::<Vec<_>>();
    let [sent, passed_on] = [&rows[..2], &rows[2..]].map(tour::bytes);
    let change = sent.iter().zip(&passed_on).map(|(a, b)| a ^ b).collect::<Vec<_>>();
    let expected = [&[0; 30][..], &[b'1' ^ b'9', 0]].concat();
    assert_eq!(change, expected);
    // Of the packet the number is left out on a page.
    let shown = lines("the one with the file's only chunk").into_iter();
    let shown = Tour::frames(&shown.map(|line| line.replace("[..]", "1")).collect::<Vec<_>>());
    assert_eq!((shown.len(), shown[0].size, shown[0].bytes.len()), (1, 78, 78));
}
