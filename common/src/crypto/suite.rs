//! A suite is a key exchange and a cipher; the two are chosen independently of each other.
//!
//! The client says what it allows: one of each kind, or any. The server chooses within that.

use std::fmt;
use std::fmt::Display;

use clap::ValueEnum;
use thiserror::Error;

/// In a client's hello: whatever the server likes.
const ANY: u8 = 0;

/// A key exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kex {
    /// Ephemeral ECDH on the curve P-256
    #[value(name = "p256")]
    P256,
    /// Ephemeral X25519
    #[value(name = "x25519")]
    X25519,
    /// The client encrypts a secret to the RSA key that the server has while it runs
    #[cfg(feature = "hybrid")]
    #[value(name = "rsa2048-server")]
    RsaServer,
    /// The server encrypts a secret to an RSA key that the client makes for this connection
    #[cfg(feature = "hybrid")]
    #[value(name = "rsa2048-client")]
    RsaClient,
}

/// A cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Cipher {
    /// Encrypts and does not notice changes, on purpose
    #[value(name = "aes-256-cfb")]
    Cfb,
    /// Encrypts and authenticates
    #[value(name = "aes-256-gcm")]
    Gcm,
    /// Tokens of AES-128-CBC and HMAC: notices changes, but not what is missing or repeated
    #[cfg(feature = "hybrid")]
    #[value(name = "fernet")]
    Fernet,
}

/// One of the two things that make up a suite.
pub trait Choice: ValueEnum + Copy + PartialEq {
    /// The option on the command line.
    const OPTION: &'static str;
    /// What the server takes where both sides allow any.
    const DEFAULT: Self;
    /// The bytes and the words for those that take the feature `hybrid`.
    const HYBRID: &'static [(u8, &'static str)];

    /// The byte for it in a hello.
    fn code(self) -> u8;

    /// The word for it, on the command line and in the labels of the key schedule.
    fn name(self) -> &'static str;
}

impl Choice for Kex {
    const OPTION: &'static str = "--kex";
    const DEFAULT: Kex = Kex::P256;
    const HYBRID: &'static [(u8, &'static str)] = &[(3, "rsa2048-server"), (4, "rsa2048-client")];

    fn code(self) -> u8 {
        match self {
            Kex::P256 => 1,
            Kex::X25519 => 2,
            #[cfg(feature = "hybrid")]
            Kex::RsaServer => 3,
            #[cfg(feature = "hybrid")]
            Kex::RsaClient => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kex::P256 => "p256",
            Kex::X25519 => "x25519",
            #[cfg(feature = "hybrid")]
            Kex::RsaServer => "rsa2048-server",
            #[cfg(feature = "hybrid")]
            Kex::RsaClient => "rsa2048-client",
        }
    }
}

impl Choice for Cipher {
    const OPTION: &'static str = "--cipher";
    const DEFAULT: Cipher = Cipher::Cfb;
    const HYBRID: &'static [(u8, &'static str)] = &[(3, "fernet")];

    fn code(self) -> u8 {
        match self {
            Cipher::Cfb => 1,
            Cipher::Gcm => 2,
            #[cfg(feature = "hybrid")]
            Cipher::Fernet => 3,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Cipher::Cfb => "aes-256-cfb",
            Cipher::Gcm => "aes-256-gcm",
            #[cfg(feature = "hybrid")]
            Cipher::Fernet => "fernet",
        }
    }
}

impl Display for Kex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A key exchange and a cipher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    /// How the two sides agree on a secret.
    pub kex: Kex,
    /// What protects their records.
    pub cipher: Cipher,
}

/// What one side allows: `None` is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    /// The key exchange, if only one will do.
    pub kex: Option<Kex>,
    /// The cipher, if only one will do.
    pub cipher: Option<Cipher>,
}

/// Why two sides have no suite in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoSuite {
    /// The client insists on one thing and the server on another.
    #[error(
        "the client wants {option} {wanted} and this server has {option} {spoken} alone; start one \
         of them with what the other has"
    )]
    Other {
        /// `--kex` or `--cipher`.
        option: &'static str,
        /// The client's.
        wanted: &'static str,
        /// The server's.
        spoken: &'static str,
    },
    /// A number in a client's hello that stands for nothing here.
    #[error("the client wants {option} number {code}, which this server does not know")]
    Unknown {
        /// `--kex` or `--cipher`.
        option: &'static str,
        /// The number.
        code: u8,
    },
    /// A number in the other side's hello that this program could know.
    #[error(
        "the {other} wants {option} {wanted}, which this {side} knows only when it is built with \
         `--features hybrid`"
    )]
    NotBuilt {
        /// Who wants it: the client or the server.
        other: &'static str,
        /// Who does not know it.
        side: &'static str,
        /// `--kex` or `--cipher`.
        option: &'static str,
        /// The word for it.
        wanted: &'static str,
    },
    /// A number in a server's hello that the client did not allow.
    #[error("the server chose {option} number {code}, which this client did not allow")]
    NotAllowed {
        /// `--kex` or `--cipher`.
        option: &'static str,
        /// The number.
        code: u8,
    },
}

impl Allowed {
    /// The two bytes in a client's hello.
    pub fn codes(self) -> [u8; 2] {
        [self.kex.map_or(ANY, Kex::code), self.cipher.map_or(ANY, Cipher::code)]
    }

    /// A server's choice between what it and the client allow.
    ///
    /// # Errors
    /// If there is nothing that both allow.
    pub fn choose(self, [kex, cipher]: [u8; 2]) -> Result<Suite, NoSuite> {
        Ok(Suite { kex: choose(kex, self.kex)?, cipher: choose(cipher, self.cipher)? })
    }

    /// What the server chose, if this client allows it.
    ///
    /// # Errors
    /// If it does not.
    pub fn check(self, [kex, cipher]: [u8; 2]) -> Result<Suite, NoSuite> {
        Ok(Suite { kex: check(kex, self.kex)?, cipher: check(cipher, self.cipher)? })
    }
}

impl Suite {
    /// The two bytes in a server's hello.
    pub fn codes(self) -> [u8; 2] {
        [self.kex.code(), self.cipher.code()]
    }
}

fn choose<T: Choice>(code: u8, own: Option<T>) -> Result<T, NoSuite> {
    if code == ANY {
        return Ok(own.unwrap_or(T::DEFAULT));
    }
    let option = T::OPTION;
    let wanted =
        known::<T>(code, ["client", "server"])?.ok_or(NoSuite::Unknown { option, code })?;
    match own {
        Some(own) if own != wanted => {
            Err(NoSuite::Other { option, wanted: wanted.name(), spoken: own.name() })
        }
        _ => Ok(wanted),
    }
}

fn check<T: Choice>(code: u8, own: Option<T>) -> Result<T, NoSuite> {
    let chosen = match own {
        Some(own) => Some(own).filter(|own| own.code() == code),
        None => known(code, ["server", "client"])?,
    };
    chosen.ok_or(NoSuite::NotAllowed { option: T::OPTION, code })
}

fn known<T: Choice>(code: u8, [other, side]: [&'static str; 2]) -> Result<Option<T>, NoSuite> {
    let known = T::value_variants().iter().copied().find(|value| value.code() == code);
    let hybrid = T::HYBRID.iter().find(|(hybrid, _)| *hybrid == code);
    match (known, hybrid) {
        (None, Some((_, wanted))) => {
            Err(NoSuite::NotBuilt { other, side, option: T::OPTION, wanted })
        }
        (known, _) => Ok(known),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Allowed = Allowed { kex: None, cipher: None };

    fn pinned(kex: Kex, cipher: Cipher) -> Allowed {
        Allowed { kex: Some(kex), cipher: Some(cipher) }
    }

    #[test]
    fn the_server_chooses_within_what_the_client_allows() {
        let default = Suite { kex: Kex::P256, cipher: Cipher::Cfb };
        assert_eq!(ALL.choose(ALL.codes()), Ok(default));
        for &kex in Kex::value_variants() {
            for &cipher in Cipher::value_variants() {
                let (suite, pinned) = (Suite { kex, cipher }, pinned(kex, cipher));
                assert_eq!(ALL.choose(pinned.codes()), Ok(suite), "the client's wish");
                assert_eq!(pinned.choose(ALL.codes()), Ok(suite), "the server's wish");
                assert_eq!(pinned.choose(pinned.codes()), Ok(suite));
                assert_eq!(ALL.check(suite.codes()), Ok(suite));
                assert_eq!(pinned.check(suite.codes()), Ok(suite));
            }
        }
    }

    #[test]
    fn a_refusal_names_both() {
        let server = pinned(Kex::P256, Cipher::Gcm);
        let refused = server.choose([2, 0]).unwrap_err().to_string();
        assert!(refused.contains("--kex x25519") && refused.contains("--kex p256"), "{refused}");
        let refused = server.choose([1, 1]).unwrap_err().to_string();
        assert!(refused.contains("--cipher aes-256-cfb"), "{refused}");
        assert!(refused.contains("--cipher aes-256-gcm"), "{refused}");
        for code in 4..=255 {
            assert_eq!(ALL.choose([0, code]), Err(NoSuite::Unknown { option: "--cipher", code }));
        }
        for code in 5..=255 {
            assert_eq!(ALL.choose([code, 0]), Err(NoSuite::Unknown { option: "--kex", code }));
        }
    }

    #[cfg(not(feature = "hybrid"))]
    #[test]
    fn who_was_built_without_a_suite_says_what_it_takes() {
        for (codes, option, wanted) in [
            ([3, 1], "--kex", "rsa2048-server"),
            ([4, 1], "--kex", "rsa2048-client"),
            ([1, 3], "--cipher", "fernet"),
        ] {
            let expected = |other, side| Err(NoSuite::NotBuilt { other, side, option, wanted });
            assert_eq!(ALL.choose(codes), expected("client", "server"));
            assert_eq!(ALL.check(codes), expected("server", "client"));
        }
        let refused = ALL.choose([3, 0]).unwrap_err().to_string();
        assert!(refused.contains("--kex rsa2048-server, which this server"), "{refused}");
        assert!(refused.contains("--features hybrid"), "{refused}");
    }

    #[cfg(feature = "hybrid")]
    #[test]
    fn what_the_feature_adds_has_its_numbers() {
        let codes = |kex, cipher| Suite { kex, cipher }.codes();
        assert_eq!(codes(Kex::RsaServer, Cipher::Fernet), [3, 3]);
        assert_eq!(codes(Kex::RsaClient, Cipher::Fernet), [4, 3]);
        assert_eq!(
            Kex::HYBRID,
            [Kex::RsaServer, Kex::RsaClient].map(|kex| (kex.code(), kex.name()))
        );
        assert_eq!(Cipher::HYBRID, [(Cipher::Fernet.code(), Cipher::Fernet.name())]);
    }

    #[test]
    fn a_server_cannot_choose_for_a_client_that_has_chosen() {
        let client = pinned(Kex::X25519, Cipher::Gcm);
        let not = |option, code| Err(NoSuite::NotAllowed { option, code });
        assert_eq!(client.check([1, 2]), not("--kex", 1));
        assert_eq!(client.check([2, 1]), not("--cipher", 1));
        assert_eq!(ALL.check([0, 1]), not("--kex", 0), "any is no choice");
        assert_eq!(ALL.check([1, 9]), not("--cipher", 9));
    }

    #[test]
    fn the_words_are_those_of_the_command_line() {
        fn check<T: Choice>() {
            for value in T::value_variants() {
                let word = value.to_possible_value().map(|word| word.get_name().to_owned());
                assert_eq!(word.as_deref(), Some(value.name()));
            }
        }
        check::<Kex>();
        check::<Cipher>();
    }
}
