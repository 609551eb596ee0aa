//! What the operator does with accounts, on the machine that the file is on. Each command returns
//! what is printed.

use common::name::Name;

use crate::accounts::Account;
use crate::accounts::Accounts;
use crate::accounts::Error;
use crate::accounts::Verifier;

/// Makes an account. `verifier` asks for a password and computes what is kept of it, which takes a
/// person a while: it is called only if the name is free, and nothing is locked meanwhile.
///
/// # Errors
/// See [`Error`]; and those of `verifier`.
pub fn adduser<E: From<Error>>(
    accounts: &Accounts,
    name: &Name,
    verifier: impl FnOnce() -> Result<Verifier, E>,
) -> Result<String, E> {
    accounts.check_free(name)?;
    accounts.add(Account { name: name.clone(), verifier: verifier()? })?;
    Ok(format!("{name} has an account in {} now", accounts.path().display()))
}

/// Gives an account another password, with `verifier` as for [`adduser`].
///
/// # Errors
/// See [`Error`]; and those of `verifier`.
pub fn passwd<E: From<Error>>(
    accounts: &Accounts,
    name: &Name,
    verifier: impl FnOnce() -> Result<Verifier, E>,
) -> Result<String, E> {
    let account = accounts.find(name)?.ok_or_else(|| accounts.unknown(name))?;
    accounts.change(name, verifier()?)?;
    Ok(format!("{} has a new password, which counts from the next login on", account.name))
}

/// Removes an account.
///
/// # Errors
/// See [`Error`].
pub fn deluser(accounts: &Accounts, name: &Name) -> Result<String, Error> {
    accounts.remove(name)?;
    Ok(format!("{name} has no account any more, and stays only where already logged in"))
}

/// Who has an account: a name a line.
///
/// # Errors
/// [`Error::File`] and [`Error::Malformed`].
pub fn users(accounts: &Accounts) -> Result<String, Error> {
    let names = accounts.names()?;
    if names.is_empty() {
        return Ok(format!("there are no accounts in {}", accounts.path().display()));
    }
    Ok(names.iter().map(Name::as_str).collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests;
