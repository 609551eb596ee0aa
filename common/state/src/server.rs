//! What a server knows of itself and of those who come: its key, and who may come in.

use std::io;
use std::path::Path;
use std::time::Instant;

use common::crypto::KeyLog;
use common::crypto::Secret;
use common::crypto::handshake;
use common::hex::hex;
use common::logging;
use common::name::Name;
use common::stream::Stream;
use rand::Rng;
use rand::rngs::SysError;
use thiserror::Error;
use x25519_dalek::PublicKey;
use x25519_dalek::StaticSecret;

use crate::accounts;
use crate::accounts::Accounts;
use crate::accounts::Verifier;
use crate::delays::Delays;
use crate::key;
use crate::options::Admits;
use crate::options::Verify;

/// The file of a secret for those who do not exist, beside the key.
const UNKNOWN: &str = "unknown_users";

/// Of one server, for all its connections.
pub struct Server {
    /// Where session keys go.
    pub keylog: KeyLog,
    /// The key by which clients know it.
    pub key: StaticSecret,
    /// Who may come in.
    pub door: Door,
    /// For the salts of those who have no account: they are always the same, and nobody else can
    /// compute them.
    pub unknown: Secret,
    delays: Delays,
}

/// Who may come in.
pub enum Door {
    /// Everybody.
    Open,
    /// Who knows the password of the room, under any name.
    Room(Verifier),
    /// Who has an account.
    Accounts(Accounts),
}

/// Why somebody does not get to try a password.
#[derive(Debug, Error)]
pub enum NoAttempt {
    /// So many attempts wait already that this one would have to wait for too long.
    #[error("{0} has failed to log in too often, and tries again too soon")]
    TooMany(Name),
    /// The connection did not wait.
    #[error("while it waited to log in: {0}")]
    Left(#[from] io::Error),
}

impl Server {
    /// With the state in `folder`, which is made if it is missing. `verifier` computes what is kept of
    /// a password with a salt.
    ///
    /// # Errors
    /// If the state or the accounts cannot be used, or as `verifier`.
    pub fn open<E>(
        folder: &Path,
        keylog: KeyLog,
        admits: Admits,
        verifier: Verify<E>,
    ) -> Result<Server, E>
    where
        E: From<key::Error> + From<accounts::Error> + From<SysError>,
    {
        let mut rng = handshake::rng()?;
        let key = key::load_or_make(folder, &mut rng)?;
        let unknown = Secret::from(*key::secret(&folder.join(UNKNOWN), &mut rng)?);
        let door = match admits {
            Admits::Everybody => Door::Open,
            Admits::Accounts(accounts) => {
                // A file that cannot be used is found now, and not by who wants to log in.
                if accounts.names()?.is_empty() {
                    let file = accounts.path().display();
                    log::warn!("nobody can log in: no accounts in {file}; `adduser` makes them");
                }
                Door::Accounts(accounts)
            }
            Admits::Password(password) => {
                let mut salt = [0; 16];
                rng.fill_bytes(&mut salt);
                Door::Room(verifier(&password, salt)?)
            }
        };
        Ok(Server { keylog, key, door, unknown, delays: Delays::default() })
    }

    /// Tells the operator by which key clients know it.
    pub fn announce(&self) {
        let public = PublicKey::from(&self.key).to_bytes();
        logging::say(format_args!("server key: its fingerprint\n  {}", key::fingerprint(&public)));
        logging::say(format_args!(
            "clients can be given the key itself, with --server-key\n  {}",
            hex(&public)
        ));
    }

    /// What checks the password of `user`, if there is such a user.
    ///
    /// # Errors
    /// If the file of accounts cannot be used.
    pub fn verifier(&self, user: &Name) -> Result<Option<Verifier>, accounts::Error> {
        match &self.door {
            Door::Open => Ok(None),
            Door::Room(verifier) => Ok(Some(verifier.clone())),
            Door::Accounts(accounts) => Ok(accounts.find(user)?.map(|account| account.verifier)),
        }
    }

    /// Waits until `user` may try to log in from there; see [`Delays`].
    ///
    /// # Errors
    /// If there are too many attempts, or the connection does not wait.
    pub fn wait_for_attempt(&self, user: &Name, stream: &Stream) -> Result<(), NoAttempt> {
        let (address, now) = (stream.peer().ip(), Instant::now());
        let wait = match self.door {
            Door::Room(_) => Some(self.delays.attempt_with_any_name(address, now)),
            Door::Open | Door::Accounts(_) => self.delays.attempt(user, address, now),
        };
        Ok(stream.pause(wait.ok_or_else(|| NoAttempt::TooMany(user.clone()))?)?)
    }

    /// Somebody has failed to log in from there.
    pub fn failed(&self, stream: &Stream) {
        if let Door::Room(_) = self.door {
            self.delays.failed_with_any_name(stream.peer().ip(), Instant::now());
        }
    }

    /// `user` has logged in from there, and the name that is theirs now, if it is.
    pub fn logged_in(&self, user: Name, stream: &Stream) -> Option<Name> {
        let address = stream.peer().ip();
        match self.door {
            Door::Room(_) => self.delays.succeeded_with_any_name(address),
            Door::Open | Door::Accounts(_) => self.delays.succeeded(&user, address),
        }
        matches!(self.door, Door::Accounts(_)).then_some(user)
    }
}
