//! The lab bench, on the command line.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use common::cli;
use common::style;
use common::style::Style;
use labs::cost;
use labs::diff;
use labs::diff::Difference;
use labs::square;
use labs::stages;
use labs::stages::EDGES;
use labs::stages::Stage;

/// The lab bench: what differs between the stages, and what that costs.
///
/// The stages are programs of their own (cargo run -p stage1_relay, and so on); this one looks at
/// several of them.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    tool: Tool,
}

#[derive(Subcommand)]
enum Tool {
    /// Shows what differs between two stages: in the code, and on the wire.
    ///
    /// First how many lines each file gained and lost, then what the same short conversation costs
    /// in both stages (alice and bob join, say a sentence each, and leave: measured, with both
    /// stages' own servers and clients, which are built for it), then the code, as a unified diff.
    /// Tests, tours and benches are left out.
    ///
    /// Without stages it shows how many lines each published difference has.
    #[command(after_help = "Examples:\n  \
        cargo run -p labs -- diff 1 3                      what encryption adds to a relay\n  \
        cargo run -p labs -- diff 1 3 --code | less        the code alone\n  \
        cargo run -p labs -- diff --write                  after a change in a stage")]
    Diff(DiffArgs),
}

#[derive(Args)]
struct DiffArgs {
    /// The number of the parent, and that of the child.
    #[arg(num_args = 2, value_names = ["FROM", "TO"])]
    stages: Vec<u8>,
    /// Show the code alone: nothing is built or measured, and `patch -p1` takes it.
    #[arg(long, requires = "stages")]
    code: bool,
    /// Write the published differences anew, in docs/diffs.
    #[arg(long, conflicts_with_all = ["stages", "check"])]
    write: bool,
    /// Fail if the published differences are not those of the code, or if files differ that have
    /// to be the same in two stages.
    #[arg(long, conflicts_with = "stages")]
    check: bool,
}

fn main() -> ExitCode {
    cli::exit(run(Cli::parse()))
}

fn run(cli: Cli) -> Result<ExitCode> {
    let Tool::Diff(args) = cli.tool;
    let root = stages::root();
    let shown = match args.stages.as_slice() {
        _ if args.write => {
            diff::write(&root)?;
            format!("{} is up to date\n", diff::PUBLISHED)
        }
        _ if args.check => return check(),
        [from, to] => return show(*from, *to, args.code),
        _ => {
            let mut all = String::new();
            for (edge, difference) in diff::edges(&root)? {
                let (from, to) = (edge.from, edge.to);
                all += &format!("cargo run -p labs -- diff {from} {to}\n");
                all += &difference.table(style());
                all.push('\n');
            }
            all
        }
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Says what is stale and what is not as it has to be, and how to repair it.
fn check() -> Result<ExitCode> {
    let root = stages::root();
    let (stale, broken) = (diff::problems(&root)?, square::problems(&root)?);
    for problem in stale.iter().chain(&broken) {
        print(&format!("{problem}\n"))?;
    }
    if !stale.is_empty() {
        print(&format!("To repair it: {}\n", diff::REPAIR))?;
    }
    match stale.is_empty() && broken.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Ok(ExitCode::FAILURE),
    }
}

fn show(from: u8, to: u8, code: bool) -> Result<ExitCode> {
    let root = stages::root();
    let (from, to) = (Stage::numbered(&root, from)?, Stage::numbered(&root, to)?);
    let difference = Difference::new(&root, from, to)?;
    let style = style();
    if !code {
        let title = format!("From {} to {}", from.package, to.package);
        print(&format!("{}\n\n", style.bold(title)))?;
        let edge = EDGES.iter().find(|edge| (edge.from, edge.to) == (from.number, to.number));
        if let Some(edge) = edge {
            print(&format!("{}\n\n", diff::wrapped(edge.teaches, "").join("\n")))?;
        }
        print(&format!("Lines of code:\n\n{}\n", difference.table(style)))?;
        print("The same conversation on the wire, in frames and bytes:\n\n")?;
        print(&format!("{}\n", cost::table(&cost::measure(&[from, to])?)))?;
        if from.has_operator != to.has_operator {
            print("Where the server's operator takes bob's place, there is one connection.\n\n")?;
        }
    }
    match io::stdout().is_terminal() {
        true => print(&difference.shown(style))?,
        false => print(&difference.text())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn style() -> Style {
    Style::new(style::wanted(io::stdout().is_terminal()))
}

/// Writes to stdout; who has seen enough, as in `| head`, is no error.
fn print(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => result,
    }
}
