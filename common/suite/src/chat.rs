//! The chat: what people ask for and what the others get.

use serde_json::Value;
use serde_json::json;

use crate::Limits;
use crate::Stage;
use crate::process::ServerProgram;
use crate::server::Server;
use crate::session;

fn say(text: &str) -> Value {
    json!({"type": "say", "text": text})
}

/// The lines of a conversation, from process to process.
pub fn names_and_broadcast<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    alice.type_line("hi, Grüße, 你好 👩‍💻");
    bob.expect(&["alice: hi, Grüße, 你好 👩‍💻"]);
    bob.type_line("@names");
    bob.expect(&["* here: alice, bob"]);
    bob.type_line("  two words  ");
    alice.expect(&["bob:   two words"]);
    alice.type_line("@quit");
    bob.expect(&["* alice left"]);
    let (code, lines, _) = alice.end();
    assert_eq!((code, lines), (Some(0), vec![]));
    let (code, lines, stderr) = bob.end();
    assert_eq!((code, lines), (Some(0), vec![]));
    assert_eq!(session::behind::<S>(&stderr), "");
}

/// To one person, shown to both; not to oneself, and not to nobody.
pub fn private_messages<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    let mut carol = server.client::<S>("carol");
    alice.expect(&["* bob joined", "* carol joined"]);
    bob.expect(&["* carol joined"]);
    alice.type_line("@BOB psst");
    alice.expect(&["alice -> bob: psst"]);
    bob.expect(&["alice -> bob: psst"]);
    alice.type_line("@alice hello me");
    alice.expect_prefix("! that is you");
    alice.type_line("@dave hello");
    alice.expect_prefix("! nobody here is called dave");
    alice.type_line("done");
    // Carol has seen nothing of it.
    carol.expect(&["alice: done"]);
}

/// `dnd` refuses private messages and tells the sender; `away` delivers them and tells it too.
pub fn status<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    let mut bob = server.client::<S>("bob");
    alice.expect(&["* bob joined"]);
    bob.type_line("@status");
    bob.expect(&["* bob is normal"]);
    bob.type_line("@status dnd");
    bob.expect(&["* bob is dnd"]);
    alice.expect(&["* bob is dnd"]);
    alice.type_line("@bob are you there?");
    alice.expect_prefix("! bob is dnd");
    bob.type_line("@status away");
    bob.expect(&["* bob is away"]);
    alice.expect(&["* bob is away"]);
    alice.type_line("@bob and now?");
    alice.expect(&["alice -> bob: and now?", "* bob is away and may answer later"]);
    bob.expect(&["alice -> bob: and now?"]);
    alice.type_line("@names");
    alice.expect(&["* here: alice, bob (away)"]);
    let mut carol = server.client::<S>("carol");
    carol.type_line("@names");
    carol.expect(&["* here: alice, bob (away), carol"]);
}

/// Making a group, writing to it, leaving it, ending it.
pub fn groups<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob, mut carol, mut dave] =
        server.join_all::<S, 4>(["alice", "bob", "carol", "dave"]);
    let send =
        |group: &str, text: &str| json!({"type": "group-send", "group": group, "text": text});

    alice
        .send(&json!({"type": "group-set", "group": "Team", "members": ["BOB", "carol", "alice"]}));
    let set = json!({"type": "group-set", "group": "Team", "owner": "alice",
                     "members": ["alice", "bob", "carol"]});
    for member in [&mut alice, &mut bob, &mut carol] {
        member.expect(&set);
    }
    bob.send(&send("team", "hi"));
    let sent = json!({"type": "group", "from": "bob", "group": "Team", "text": "hi"});
    for member in [&mut alice, &mut bob, &mut carol] {
        member.expect(&sent);
    }
    dave.send(&send("team", "let me in"));
    dave.expect_refusal("you are in no group #team");
    dave.send(&json!({"type": "group-set", "group": "TEAM", "members": ["bob"]}));
    dave.expect_refusal("there is a group #Team already");
    dave.send(&json!({"type": "group-set", "group": "new", "members": ["bob", "erin"]}));
    dave.expect_refusal("nobody here is called erin");
    dave.send(&json!({"type": "group-set", "group": "a b", "members": ["bob"]}));
    dave.expect_refusal("is no name for a group");
    bob.send(&json!({"type": "group-delete", "group": "team"}));
    bob.expect_refusal("only alice, who owns it");

    // The owner leaves: the group is bob's, who was here before carol.
    alice.send(&json!({"type": "group-leave", "group": "team"}));
    let left = json!({"type": "group-left", "group": "Team", "name": "alice"});
    for member in [&mut alice, &mut bob, &mut carol] {
        member.expect(&left);
    }
    let owned = json!({"type": "group-owner", "group": "Team", "owner": "bob"});
    bob.expect(&owned);
    carol.expect(&owned);
    alice.send(&send("team", "still here?"));
    alice.expect_refusal("you are in no group #team");
    bob.send(&json!({"type": "group-delete", "group": "team"}));
    let deleted = json!({"type": "group-deleted", "group": "Team", "by": "bob"});
    bob.expect(&deleted);
    carol.expect(&deleted);
    carol.send(&send("team", "anyone?"));
    carol.expect_refusal("you are in no group #team");
    dave.expect_nothing_more();

    // A group without members is gone, and its name is free.
    carol.send(&json!({"type": "group-set", "group": "solo", "members": ["carol"]}));
    carol.wait_for("group-set");
    carol.send(&json!({"type": "group-leave", "group": "solo"}));
    carol.wait_for("group-left");
    dave.send(&json!({"type": "group-set", "group": "solo", "members": []}));
    assert_eq!(dave.wait_for("group-set")["members"], json!(["dave"]));
}

/// Told to the others, throttled, and not stored for who comes later.
pub fn typing<S: Stage>() {
    // Longer than any test: a second notice within it is one too many.
    let limits = Limits { typing_every: crate::PATIENCE * 100, ..Limits::default() };
    let server = Server::start::<S>(&limits);
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    alice.send(&json!({"type": "typing"}));
    alice.send(&json!({"type": "typing"}));
    alice.send(&say("done"));
    bob.expect(&json!({"type": "typing", "name": "alice"}));
    bob.expect(&json!({"type": "said", "from": "alice", "text": "done"}));
    alice.expect_nothing_more();
    let mut carol = server.join::<S>("carol");
    carol.expect_nothing_more();
}

/// What is wrong is answered with what is right.
pub fn misuse<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let mut alice = server.client::<S>("alice");
    for (typed, answer) in [
        ("@nosuch", "! @nosuch is no command (@help shows all)"),
        ("@é hi", "! @é is neither a command nor a name"),
        ("@", "! @ is neither a command nor a name"),
        ("@group", "! the right form is: @group set NAME user1,user2 | @group send NAME text"),
        ("@group set team", "! the right form is: @group set NAME user1,user2"),
        ("@status asleep", "! the right form is: @status | @status normal"),
        ("@names now", "! the right form is: @names"),
        ("@quit now", "! the right form is: @quit"),
        ("@help me", "! there is no command @me"),
        ("@group send nope hi", "! you are in no group #nope"),
        ("@group leave nope", "! you are in no group #nope"),
        ("@group delete nope", "! you are in no group #nope"),
        (&"x".repeat(4097), "! not sent: the text has 4097 bytes, at most 4096 are allowed"),
        (&"x".repeat(70_000), "! not sent, a line of more than 65536 bytes"),
    ] {
        alice.type_line(typed);
        let line = alice.line().expect("an answer");
        assert!(line.starts_with(answer), "{typed:?} was answered with {line:?}");
    }
    // A blank line says nothing.
    alice.type_line("");
    alice.type_line("   ");
    alice.type_line("@names");
    alice.expect(&["* here: alice"]);
}

/// Leaving the room leaves the groups.
pub fn who_leaves_is_out_of_all_groups<S: Stage>() {
    let server = Server::start::<S>(&Limits::default());
    let [mut alice, mut bob] = server.join_all::<S, 2>(["alice", "bob"]);
    alice.send(&json!({"type": "group-set", "group": "team", "members": ["bob"]}));
    alice.wait_for("group-set");
    bob.wait_for("group-set");
    bob.finish();
    alice.expect(&json!({"type": "group-left", "group": "team", "name": "bob"}));
    alice.expect(&json!({"type": "left", "name": "bob"}));
    // Another bob is not the one who was in it.
    let mut bob = server.join::<S>("bob");
    alice.expect(&json!({"type": "joined", "name": "bob"}));
    bob.send(&json!({"type": "group-send", "group": "team", "text": "hi"}));
    bob.expect_refusal("you are in no group #team");
}

/// A name belongs to one person, in whatever case, until they leave.
pub fn names_are_unique_in_any_case<S: Stage>() {
    let server = ServerProgram::start::<S>(&[]);
    let alice = server.client::<S>("alice");
    let address = server.address.to_string();
    for name in ["alice", "ALICE"] {
        let second = crate::process::Program::start::<S>(&["client", &address, "--name", name]);
        let (code, lines, _) = second.end();
        assert_eq!(code, Some(1));
        assert_eq!(lines, ["! the name alice is taken, choose another"]);
    }
    let (code, ..) = alice.end();
    assert_eq!(code, Some(0));
    server.client::<S>("Alice");
}

/// What one sender says arrives in its order at all, also when many talk at once.
pub fn order_per_sender<S: Stage>() {
    const MESSAGES: usize = 500;
    let server = Server::start::<S>(&Limits::default());
    let mut peers = server.join_all::<S, 4>(["alice", "bob", "carol", "dave"]);
    for number in 0..MESSAGES {
        for peer in &mut peers {
            peer.send(&say(&number.to_string()));
        }
    }
    for peer in &mut peers {
        let mut next = std::collections::BTreeMap::<String, usize>::new();
        for _ in 0..MESSAGES * 3 {
            let event = peer.event();
            let due = next.entry(event["from"].to_string()).or_default();
            assert_eq!(event["text"], due.to_string());
            *due += 1;
        }
        assert_eq!(next.len(), 3);
        peer.expect_nothing_more();
    }
}
