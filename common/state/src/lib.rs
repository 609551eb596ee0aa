//! What a program keeps between two runs, and who may have to do with it: no sockets, no messages.
//!
//! All of it is text in small files, which are replaced whole and under a lock: who reads one sees
//! what was in it before a change or after, also when the program that made the change was killed
//! meanwhile, and of two programs that change it at once neither undoes what the other did.
//!
//! | module | what it is |
//! |---|---|
//! | [`private`] | files of one person: who else may read them, and how they are changed |
//! | [`key`] | the key by which a server is known, and what a person sees of it |
//! | [`accounts`] | who may log in, and what is kept to check it |
//! | [`server`] | all that a server knows of itself and of those who come |
//! | [`options`] | the part of the command line for this |
//! | [`commands`] | what the operator does with accounts |
//! | [`delays`] | how long who has failed waits before the next attempt |
//! | [`password`] | a password, from a file or from the environment |

pub mod accounts;
pub mod commands;
pub mod delays;
pub mod key;
pub mod options;
pub mod password;
pub mod private;
pub mod server;
