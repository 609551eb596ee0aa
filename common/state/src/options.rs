//! The part of the command line for who may come in, and for which server is the right one.

use std::env;
use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::error::ErrorKind;
use common::crypto::KeyLog;
use common::crypto::handshake;
use common::face;
use common::name::Name;
use common::sync::Mutex;
use common::sync::lock;
use rand::Rng;
use rand::rngs::SysError;
use thiserror::Error;

use crate::accounts;
use crate::accounts::Accounts;
use crate::accounts::Verifier;
use crate::commands;
use crate::key;
use crate::password;
use crate::password::NotAPassword;
use crate::password::Password;
use crate::password::VARIABLE;
use crate::server::Server;

/// What a person is asked.
const QUESTION: &str = "password: ";
const AGAIN: &str = "the same again: ";

/// The file of the servers that are known, in the folder of a client's state.
const KNOWN_SERVERS: &str = "known_servers";

/// Where a program keeps what it needs the next time.
#[derive(Args, Debug)]
pub struct State {
    /// The folder for what is kept between two runs: a server's key, the servers that a client knows
    #[arg(long = "state", value_name = "DIR", default_value = ".chat")]
    folder: PathBuf,
}

/// Why there is no password where there should be one.
#[derive(Debug, Error)]
pub enum Error {
    /// The one that was given is none.
    #[error(transparent)]
    Given(#[from] password::Error),
    /// The one that was typed is none.
    #[error(transparent)]
    Typed(#[from] NotAPassword),
    /// The second was not the first.
    #[error("these were two different passwords; nothing was changed")]
    Different,
    /// The name in the room is to be another than that of the login.
    #[error("{0} is there already: leave there first, or log in as somebody else with --login")]
    AnotherName(Name),
    /// They did not want to say.
    #[error("no password, no account; nothing was changed")]
    NotSaid,
    /// Input or output is no terminal.
    #[error("there is nobody to ask for the password: put it into a file, for --password-file")]
    NobodyToAsk,
}

/// Options of a server.
#[derive(Args, Debug)]
#[command(next_help_heading = "Login")]
pub struct Entry {
    /// Only those come in who have an account in this file, which `adduser` makes; their names are
    /// theirs alone
    #[arg(long, value_name = "FILE")]
    users: Option<PathBuf>,
    /// Only those come in who know the password in the first line of this file, under any name; so it
    /// is with CHAT_PASSWORD in the environment
    #[arg(long, value_name = "FILE", conflicts_with = "users")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    state: State,
}

/// Whom a server lets in.
pub enum Admits {
    /// Everybody.
    Everybody,
    /// Who knows this.
    Password(Password),
    /// Who has one of these.
    Accounts(Accounts),
}

/// Options of a client.
#[derive(Args)]
#[command(next_help_heading = "Login")]
pub struct Login {
    /// Log in under this name, which is then your name in the room. The password is asked for, unless
    /// there is one in --password-file or CHAT_PASSWORD
    #[arg(long, value_name = "NAME")]
    login: Option<Name>,
    /// Log in with the password in the first line of this file
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The server's public key, in 64 hexadecimal digits, instead of the one that is known of it; the
    /// server says it at its start
    #[arg(long, value_name = "HEX", value_parser = parse_key)]
    server_key: Option<Key>,
    #[command(flatten)]
    state: State,
    #[arg(skip)]
    user: Mutex<Option<(Name, Password)>>,
}

/// A server's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(pub [u8; 32]);

/// Computes what is kept of a password, with a salt.
pub type Verify<E> = fn(&Password, [u8; 16]) -> Result<Verifier, E>;

/// What the operator does with accounts, on the machine that their file is on.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Makes an account: who logs in with it has its name, and nobody else.
    Adduser(OfAccount),
    /// Gives an account another password.
    Passwd(OfAccount),
    /// Removes an account.
    Deluser {
        /// Whose account.
        name: Name,
        /// Where it is.
        #[command(flatten)]
        users: Users,
    },
    /// Says who has an account, a name a line.
    Users(Users),
}

/// An account, and what will be its password.
#[derive(Args, Debug)]
pub struct OfAccount {
    /// Whose account: 1 to 20 letters, digits, _ or -
    name: Name,
    #[command(flatten)]
    users: Users,
    /// The password is in the first line of this file; otherwise it is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// The file of accounts.
#[derive(Args, Debug)]
pub struct Users {
    /// The file of accounts
    #[arg(long = "users", value_name = "FILE")]
    file: PathBuf,
}

impl Entry {
    /// The state of a server with these options. `verifier` computes what is kept of a password, with
    /// this salt.
    ///
    /// # Errors
    /// If there is no password where there should be one, or the state cannot be used; as `verifier`.
    pub fn server<E>(&self, keylog: KeyLog, verifier: Verify<E>) -> Result<Server, E>
    where
        E: From<Error> + From<key::Error> + From<accounts::Error> + From<SysError>,
    {
        Server::open(&self.state.folder, keylog, self.admits()?, verifier)
    }

    fn admits(&self) -> Result<Admits, Error> {
        if let Some(users) = &self.users {
            return Ok(Admits::Accounts(Accounts::at(users)));
        }
        let given = Password::given(self.password_file.as_deref())?;
        Ok(given.map_or(Admits::Everybody, Admits::Password))
    }

    /// Ends this process with wrong usage where nobody is authenticated and yet a login is wanted.
    pub fn excludes(&self, is_unauthenticated: bool) {
        exclude(is_unauthenticated, self.users.is_some() || self.password_file.is_some());
    }
}

impl Login {
    /// With this user and nothing else.
    pub fn of(user: Option<(Name, Password)>) -> Login {
        let state = State { folder: PathBuf::new() };
        let user = Mutex::new(user);
        Login { login: None, password_file: None, server_key: None, state, user }
    }

    /// Ends this process with wrong usage where nobody is authenticated and yet a login is wanted, or
    /// where the name in the room is not that of the login. Without a name it becomes that.
    pub fn excludes(&self, is_unauthenticated: bool, name: &mut Option<Name>) {
        let is_known = self.password_file.is_some() || self.server_key.is_some();
        exclude(is_unauthenticated, self.login.is_some() || is_known);
        let Some(login) = &self.login else { return };
        if let Some(name) = name
            && name != login
        {
            wrong_usage(&format!("who logs in as {login} is not called {name}: leave out --name"));
        }
        *name = Some(login.clone());
    }

    /// Gets the password of who is called `name`: the one that was given, or, with `--login`, from the
    /// person, who is asked `again` if the last one was wrong. False if they do not want to say.
    ///
    /// # Errors
    /// If there is no password where there should be one.
    pub fn ask(&self, face: &face::Open, name: &Name, again: bool) -> Result<bool, Error> {
        if let Some(login) = self.login.as_ref().filter(|login| *login != name) {
            return Err(Error::AnotherName(login.clone()));
        }
        let mut user = lock(&self.user);
        let known = user.take().map(|(_, password)| password).filter(|_| !again);
        let given = match known {
            None if !again => Password::given(self.password_file.as_deref())?,
            known => known,
        };
        let password = match given {
            Some(password) => password,
            None if self.login.is_none() && !again => return Ok(true),
            None if !face.is_terminal() => return Err(Error::NobodyToAsk),
            None => match face.ask_secret(QUESTION) {
                Some(answer) => Password::new(answer)?,
                None => return Ok(false),
            },
        };
        *user = Some((name.clone(), password));
        Ok(true)
    }

    /// Who logs in, if anybody does, once there is a password.
    pub fn user(&self) -> Option<(Name, Password)> {
        lock(&self.user).clone()
    }

    /// The key that the server has to have.
    pub fn server_key(&self) -> Option<[u8; 32]> {
        self.server_key.map(|key| key.0)
    }

    /// The file of the servers that are known.
    pub fn known_servers(&self) -> PathBuf {
        self.state.folder.join(KNOWN_SERVERS)
    }
}

impl Command {
    /// Does it; what is printed. `verifier` computes what is kept of a password, with this salt.
    ///
    /// # Errors
    /// If it cannot be done, or there is no password where there should be one; as `verifier`.
    pub fn run<E>(&self, verifier: Verify<E>) -> Result<String, E>
    where
        E: From<Error> + From<accounts::Error> + From<SysError>,
    {
        Ok(match self {
            Command::Adduser(of) => {
                commands::adduser(&of.users.accounts(), &of.name, || of.verifier(verifier))?
            }
            Command::Passwd(of) => {
                commands::passwd(&of.users.accounts(), &of.name, || of.verifier(verifier))?
            }
            Command::Deluser { name, users } => commands::deluser(&users.accounts(), name)?,
            Command::Users(users) => commands::users(&users.accounts())?,
        })
    }
}

impl OfAccount {
    fn verifier<E>(&self, verifier: Verify<E>) -> Result<Verifier, E>
    where
        E: From<Error> + From<SysError>,
    {
        let (password, mut salt) = (self.password()?, [0; 16]);
        handshake::rng()?.fill_bytes(&mut salt);
        verifier(&password, salt)
    }

    /// The new password: the one that was given, or from the person, who has to say it twice.
    fn password(&self) -> Result<Password, Error> {
        if let Some(password) = Password::given(self.password_file.as_deref())? {
            return Ok(password);
        }
        let face = face::open(false);
        if !face.is_terminal() {
            return Err(Error::NobodyToAsk);
        }
        let answers = [QUESTION, AGAIN].map(|question| face.ask_secret(question));
        face.close();
        match answers {
            [Some(first), Some(second)] if first == second => Ok(Password::new(first)?),
            [Some(_), Some(_)] => Err(Error::Different),
            _ => Err(Error::NotSaid),
        }
    }
}

impl Users {
    fn accounts(&self) -> Accounts {
        Accounts::at(&self.file)
    }
}

fn exclude(is_unauthenticated: bool, is_login: bool) {
    let in_environment = env::var_os(VARIABLE).is_some_and(|value| !value.is_empty());
    if is_unauthenticated && (is_login || in_environment) {
        wrong_usage(&format!(
            "with --kex or --cipher nobody is authenticated: leave these out to log in, or leave out \
             what is for the login ({VARIABLE} in the environment, too)"
        ));
    }
}

fn wrong_usage(text: &str) {
    clap::Error::raw(ErrorKind::ArgumentConflict, format_args!("{text}\n")).exit();
}

fn parse_key(text: &str) -> Result<Key, key::NotAKey> {
    key::parse(text).map(Key)
}
