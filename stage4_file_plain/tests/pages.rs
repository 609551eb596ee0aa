//! What the pages of the documentation say about this stage.

use suite::pages;
use suite::pages::Program;
use suite::pages::Project;
use suite::pages::stage;

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_stage4_file_plain"))
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
