//! The lab bench, on the command line.

use std::io;
use std::io::IsTerminal;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use anyhow::ensure;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use common::cli;
use common::style;
use common::style::Style;
use labs::capture;
use labs::capture::SCRIPTS;
use labs::cost;
use labs::diff;
use labs::diff::Difference;
use labs::square;
use labs::stages;
use labs::stages::EDGES;
use labs::stages::Stage;

/// The lab bench: what differs between the stages, what that costs, and captures to look at.
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
    /// Makes the captures to look at, in docs/wireshark: one of each stage, with the keys of its
    /// sessions.
    ///
    /// They are the same bytes on every machine: everything that is random in a stage comes from a
    /// fixed seed here, and the clock goes when it is told to. No stage can be made to do that.
    /// They protect nothing: their keys are public.
    ///
    /// Without an option it lists them.
    #[command(after_help = "Examples:\n  \
        cargo run -p labs -- capture                       what there is to look at\n  \
        cargo run -p labs -- capture --write               after a change of what is on the wire")]
    Capture(CaptureArgs),
    /// Writes stage 4 with the patch that turns stage 1 into stage 3: encryption and files are
    /// independent of each other.
    ///
    /// The folder becomes a workspace of its own, which uses what is in this one. In it,
    /// `cargo run -p stage3_secure_multi` is an encrypted relay with files.
    Square {
        /// A folder that is not there yet.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

#[derive(Args)]
struct DiffArgs {
    /// The number of the parent.
    #[arg(requires = "to")]
    from: Option<u8>,
    /// The number of the child.
    to: Option<u8>,
    /// Show the code alone: nothing is built or measured, and `patch -p1` takes it.
    #[arg(long, requires = "to")]
    code: bool,
    /// Write the published differences anew, in docs/diffs.
    #[arg(long, conflicts_with_all = ["from", "check"])]
    write: bool,
    /// Fail if the published differences are not those of the code, if files differ that have to
    /// be the same in two stages, or if the patch from 1 to 3 does not apply to 4.
    #[arg(long, conflicts_with = "from")]
    check: bool,
}

#[derive(Args)]
struct CaptureArgs {
    /// Write them anew.
    #[arg(long, conflicts_with = "check")]
    write: bool,
    /// Fail if they are not those that would be written.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let ended = run(Cli::parse());
    let seen_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match ended {
        // As in `| head`.
        Err(error) if error.downcast_ref().is_some_and(seen_enough) => ExitCode::SUCCESS,
        ended => cli::exit(ended),
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    let args = match cli.tool {
        Tool::Diff(args) => args,
        Tool::Capture(args) => return captures(&args),
        Tool::Square { folder } => {
            square::write(&stages::root(), &folder)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    match (args.from, args.to) {
        _ if args.write => {
            diff::write(&stages::root())?;
            print(&format!("{} is up to date\n", diff::PUBLISHED))?;
        }
        _ if args.check => return check(),
        (Some(from), Some(to)) => show(from, to, args.code)?,
        _ => {
            for (edge, difference) in diff::edges(&stages::root())? {
                let command = format!("cargo run -p labs -- diff {} {}", edge.from, edge.to);
                print(&format!("{command}\n\n{}\n", difference.table(style())))?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Says what is stale and what is not as it has to be, and how to repair it.
fn check() -> Result<ExitCode> {
    let root = stages::root();
    let (mut problems, broken) = (diff::problems(&root)?, square::problems(&root)?);
    if !problems.is_empty() {
        problems.push(format!("To repair it: {}", diff::REPAIR));
    }
    problems.extend(broken);
    ensure!(problems.is_empty(), "{}", problems.join("\n"));
    Ok(ExitCode::SUCCESS)
}

fn captures(args: &CaptureArgs) -> Result<ExitCode> {
    let root = stages::root();
    if args.write {
        capture::write(&root)?;
        print(&format!("{} is up to date\n", capture::PUBLISHED))?;
    } else if args.check {
        let mut problems = capture::problems(&root)?;
        if !problems.is_empty() {
            problems.push(format!("To repair it: {}", capture::REPAIR));
        }
        ensure!(problems.is_empty(), "{}", problems.join("\n"));
    } else {
        for script in SCRIPTS {
            for file in script.files()? {
                let (name, size) = (style().bold(&file.name), file.bytes.len());
                print(&format!("{}/{name}, {size} bytes\n", capture::PUBLISHED))?;
            }
            print(&format!("{}\n\n", diff::wrapped(script.shows, "").join("\n")))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(from: u8, to: u8, code: bool) -> Result<()> {
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
    Ok(())
}

fn style() -> Style {
    Style::new(style::wanted(io::stdout().is_terminal()))
}

/// Writes to stdout; `println!` would panic where nobody reads.
fn print(text: &str) -> io::Result<()> {
    io::stdout().write_all(text.as_bytes())
}
