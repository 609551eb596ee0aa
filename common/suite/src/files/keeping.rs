//! A server that keeps copies.

use std::fs;

use super::Place;
use super::client;
use super::client_with;
use super::clients;
use super::keeping_server;
use super::wait_for;
use crate::Stage;

/// It gets a copy of each, as one receiver more: of what is for all, and of what is for one person.
pub fn copies_of_all<S: Stage>() {
    let place = Place::default();
    let server = keeping_server::<S>(&place, &[]);
    let [mut alice, mut bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
    for (name, size, to) in [("x", 2_000_000, ""), ("y", 70_000, " bob"), ("z", 0, "")] {
        alice.type_line(&format!("@send {}{to}", place.file(name, size)));
        let whom = if to.is_empty() { "all" } else { "bob" };
        alice.expect_prefix(&format!("* offered {name} to {whom}"));
        alice.expect(&[&format!("* sending {name} ({size} bytes)")]);
        let mut have = [alice.line().unwrap(), alice.line().unwrap()];
        have.sort_unstable();
        assert_eq!(have, [format!("* bob has {name}"), format!("* server has {name}")]);
        alice.expect(&[&format!("* sent {name} to {whom}")]);
        bob.expect_prefix(&format!("* receiving {name}"));
        bob.expect_prefix(&format!("* received {name}"));
    }
    let due = [("x", 2_000_000), ("y", 70_000), ("z", 0)];
    place.expect("kept", &due);
    place.expect("bob", &due);
}

/// Where nobody else wants it or is there, the server has it nevertheless.
pub fn a_copy_for_the_server_alone<S: Stage>() {
    let place = Place::default();
    let server = keeping_server::<S>(&place, &[]);
    let mut alice = client::<S>(server.address, &place, "alice");
    alice.type_line(&format!("@send {}", place.file("alone", 5)));
    alice.expect(&[
        "* offered alone to all (5 bytes); @cancel 1 takes it back",
        "* sending alone (5 bytes)",
        "* server has alone",
        "* sent alone to all",
    ]);
    let never = ["--accept", "never"];
    let _bob = client_with::<S>(server.address, &place, "bob", &never);
    alice.expect(&["* bob joined"]);
    for to in ["", " bob"] {
        alice.type_line(&format!("@send {}{to}", place.file("unwanted", 6)));
        alice.expect_prefix("* offered unwanted to ");
        alice.expect(&[
            "! bob does not get unwanted: takes no files",
            "* sending unwanted (6 bytes)",
            "* server has unwanted",
        ]);
        alice.expect_prefix("* sent unwanted to ");
    }
    place.expect("kept", &[("alone", 5), ("unwanted", 6), ("unwanted (1)", 6)]);
    // To nobody is to nobody.
    alice.type_line(&format!("@send {} dave", place.text("alone")));
    alice.expect_prefix("! alone to dave: nobody here is called dave");
    alice.type_line(&format!("@send {} server", place.text("alone")));
    alice.expect_prefix("! alone to server: nobody here is called server");
}

/// What is too large for it, or what it cannot write, passes all the same.
pub fn what_it_does_not_keep<S: Stage>() {
    for cannot_write in [false, true] {
        let place = Place::default();
        let server = keeping_server::<S>(&place, &["--max-file", "1K"]);
        if cannot_write {
            fs::write(place.path("kept"), "a file").unwrap();
        }
        let [mut alice, mut bob] = clients::<S, 2>(server.address, &place, ["alice", "bob"]);
        let size = if cannot_write { 1024 } else { 1025 };
        alice.type_line(&format!("@send {}", place.file("x", size)));
        alice.expect_prefix("* offered x to all");
        let why = if cannot_write {
            "it cannot be stored there"
        } else {
            "takes no more than 1024 bytes"
        };
        alice.expect(&[&format!("! server does not get x: {why}")]);
        alice.expect(&[&format!("* sending x ({size} bytes)"), "* bob has x", "* sent x to all"]);
        bob.expect_prefix("* receiving x");
        place.expect("bob", &[("x", size)]);
        if !cannot_write {
            place.expect("kept", &[]);
            alice.type_line(&format!("@send {}", place.file("y", 1024)));
            wait_for(&mut alice, "* sent y to all");
            place.expect("kept", &[("y", 1024)]);
        }
    }
}
