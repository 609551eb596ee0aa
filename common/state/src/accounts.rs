//! Who may log in, and what is kept to check it.
//!
//! One line for each, below one that says for which login they were made:
//!
//! ```text
//! chat5 accounts 1 argon2id m=19456 t=2 p=1
//! alice 1f0c…(32 digits) 8a41…(64 digits) 3be7…(64 digits)
//! ```
//!
//! That is the name, the salt, SK and VK. To this module they are bytes, which the login computes.
//! There is no password in them, but who has the file can guess at them, and can pose as the server.
//!
//! The file is read each time that somebody is looked up, all of it: it is small, what a command
//! changes counts at the next login, and it takes as long for a name that is in it as for another.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::path::PathBuf;

use common::hex::hex;
use common::hex::unhex;
use common::name::Name;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::private;
use crate::private::Others;

/// The first line of a file.
const HEADER: &str = "chat5 accounts 1 argon2id m=19456 t=2 p=1";
/// Bytes of a line for the longest name.
const LINE: usize = 20 + 3 + 2 * (16 + 32 + 32) + 1;

/// A file of accounts, which need not be there yet.
#[derive(Clone, Debug)]
pub struct Accounts(PathBuf);

/// Somebody who may log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name as it was given when the account was made.
    pub name: Name,
    /// What checks the password.
    pub verifier: Verifier,
}

/// What is kept instead of a password. There is no `Debug` that could show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    /// The salt.
    pub salt: [u8; 16],
    /// SK, with which the client's proof is checked.
    pub stored_key: [u8; 32],
    /// VK, with which the server signs.
    pub server_key: [u8; 32],
}

/// Why an account is not found, or not changed.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is not used.
    #[error(transparent)]
    File(#[from] private::Error),
    /// It is no file of accounts, or damaged.
    #[error("{}, line {line}: {what}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The name has an account already, perhaps in another case.
    #[error("{0} has an account already: `passwd {0}` changes its password")]
    Taken(Name),
    /// Nobody may be called so.
    #[error("{0} is a word of commands, or the server: choose another name")]
    Reserved(Name),
    /// The name has no account.
    #[error("{name} has no account in {}: `adduser {name}` makes one", .path.display())]
    Unknown {
        /// Who.
        name: Name,
        /// The file.
        path: PathBuf,
    },
}

impl Accounts {
    /// The accounts in the file at `path`. It is not looked at yet; a missing file has none in it.
    pub fn at(path: impl Into<PathBuf>) -> Accounts {
        Accounts(path.into())
    }

    /// Where they are.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The account of `user`, without regard to case.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Malformed`], wherever in the file: nobody logs in with a damaged one.
    pub fn find(&self, user: &Name) -> Result<Option<Account>, Error> {
        let mut accounts = self.load()?;
        let found = position(&accounts, user);
        Ok(found.map(|at| accounts.swap_remove(at)))
    }

    /// Who has an account, in the order in which they were made.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Malformed`].
    pub fn names(&self) -> Result<Vec<Name>, Error> {
        Ok(self.load()?.into_iter().map(|account| account.name).collect())
    }

    /// Makes an account, and the file if it is the first.
    ///
    /// # Errors
    /// See [`Error`](enum@Error); nothing is changed then.
    pub fn add(&self, account: Account) -> Result<(), Error> {
        self.update(|accounts| {
            free(accounts, &account.name)?;
            accounts.push(account);
            Ok(())
        })
    }

    /// Whether [`Accounts::add`] would make an account of this name, asked before a password is.
    ///
    /// # Errors
    /// Those that it would have.
    pub fn check_free(&self, name: &Name) -> Result<(), Error> {
        free(&self.load()?, name)
    }

    /// Gives an account another password.
    ///
    /// # Errors
    /// See [`Error`](enum@Error); nothing is changed then.
    pub fn change(&self, name: &Name, verifier: Verifier) -> Result<(), Error> {
        self.update(|accounts| match accounts.iter_mut().find(|account| is(account, name)) {
            Some(account) => {
                account.verifier = verifier;
                Ok(())
            }
            None => Err(self.unknown(name)),
        })
    }

    /// Removes an account.
    ///
    /// # Errors
    /// See [`Error`](enum@Error); nothing is changed then.
    pub fn remove(&self, name: &Name) -> Result<(), Error> {
        self.update(|accounts| match position(accounts, name) {
            Some(at) => {
                accounts.remove(at);
                Ok(())
            }
            None => Err(self.unknown(name)),
        })
    }

    /// That the name has no account here.
    pub fn unknown(&self, name: &Name) -> Error {
        Error::Unknown { name: name.clone(), path: self.0.clone() }
    }

    fn load(&self) -> Result<Vec<Account>, Error> {
        self.parse(private::read(&self.0, Others::Nothing)?.as_ref().map(|text| text.as_str()))
    }

    fn update(
        &self,
        change: impl FnOnce(&mut Vec<Account>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        private::update(&self.0, Others::Nothing, |text| {
            let mut accounts = self.parse(text)?;
            change(&mut accounts)?;
            Ok(Some(encode(&accounts)))
        })
    }

    fn parse(&self, text: Option<&str>) -> Result<Vec<Account>, Error> {
        let wrong = |line, what| Error::Malformed { path: self.0.clone(), line, what };
        let Some(text) = text else { return Ok(Vec::new()) };
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, header)| header != HEADER) {
            return Err(wrong(1, "it does not begin as accounts for this login do"));
        }
        let mut accounts = Vec::<Account>::new();
        let mut names = BTreeSet::new();
        for (number, line) in lines {
            let account = parse_line(line).map_err(|what| wrong(number, what))?;
            if !names.insert(account.name.key()) {
                return Err(wrong(number, "a line above is for the same name"));
            }
            accounts.push(account);
        }
        Ok(accounts)
    }
}

fn is(account: &Account, name: &Name) -> bool {
    account.name.key() == name.key()
}

fn position(accounts: &[Account], name: &Name) -> Option<usize> {
    accounts.iter().position(|account| is(account, name))
}

fn free(accounts: &[Account], name: &Name) -> Result<(), Error> {
    if name.is_reserved() {
        return Err(Error::Reserved(name.clone()));
    }
    match accounts.iter().find(|account| is(account, name)) {
        Some(account) => Err(Error::Taken(account.name.clone())),
        None => Ok(()),
    }
}

fn parse_line(line: &str) -> Result<Account, &'static str> {
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or("a name, a salt and two keys belong there");
    let (name, salt, stored_key, server_key) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err("there is more in it than a name, a salt and two keys");
    }
    let verifier = Verifier {
        salt: bytes(salt).ok_or("the salt is not 32 hexadecimal digits")?,
        stored_key: bytes(stored_key).ok_or("the first key is not 64 hexadecimal digits")?,
        server_key: bytes(server_key).ok_or("the second key is not 64 hexadecimal digits")?,
    };
    let name = name.parse::<Name>().map_err(|_| "it does not begin with a name")?;
    if name.is_reserved() {
        return Err("nobody may have this name");
    }
    Ok(Account { name, verifier })
}

fn bytes<const LENGTH: usize>(digits: &str) -> Option<[u8; LENGTH]> {
    unhex(digits)?.try_into().ok()
}

fn encode(accounts: &[Account]) -> Zeroizing<String> {
    let size = HEADER.len() + 1 + LINE * accounts.len();
    let mut text = Zeroizing::new(String::with_capacity(size));
    // A String takes everything.
    let _ = writeln!(text, "{HEADER}");
    for Account { name, verifier } in accounts {
        let Verifier { salt, stored_key, server_key } = verifier;
        let (salt, stored_key, server_key) = (hex(salt), hex(stored_key), hex(server_key));
        let _ = writeln!(text, "{name} {salt} {stored_key} {server_key}");
    }
    text
}

#[cfg(test)]
mod tests;
