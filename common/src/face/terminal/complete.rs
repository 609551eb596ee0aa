//! What Tab makes of a line: commands by their own table, names, groups, emoji.

use std::collections::BTreeSet;

use emojis::Emoji;

use crate::command::Command;
use crate::command::Table;
use crate::escape;

/// What there is to be named.
#[derive(Debug, Default)]
pub struct Known {
    pub commands: Table,
    /// Everyone else.
    pub people: BTreeSet<String>,
    pub groups: BTreeSet<String>,
}

/// What may stand at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub struct Candidates {
    /// How many bytes left of the cursor they replace.
    pub replaces: usize,
    /// In alphabetical order.
    pub all: Vec<String>,
    /// Whether something may follow without a space between.
    pub more: bool,
}

/// Fewest letters of the name of an emoji; there are about 1,900.
const EMOJI: usize = 2;

impl Known {
    /// What may stand for the last word of `head`, the line left of the cursor.
    pub fn candidates(&self, head: &str) -> Candidates {
        let word = head.rsplit([' ', ',']).next().unwrap_or_default();
        let before = head.strip_suffix(word).unwrap_or_default();
        let (all, more) = match word.strip_prefix(':') {
            Some(code) => (emoji(code), true),
            None => self.words(before),
        };
        let mut all = all.into_iter().filter(|all| starts_with(all, word)).collect::<Vec<_>>();
        all.sort_unstable_by_key(|candidate| candidate.to_lowercase());
        all.dedup();
        Candidates { replaces: word.len(), all, more }
    }

    /// What may follow these words, and whether it is a list.
    fn words(&self, before: &str) -> (Vec<String>, bool) {
        let Some(command) = before.trim_start().strip_prefix('@') else {
            let mut words = self.people();
            if before.trim().is_empty() {
                words.extend(self.commands.iter().map(|command| format!("@{}", command.word)));
                words.retain(|word| word != "@NAME");
                words.extend(self.people.iter().map(|name| format!("@{name}")));
            }
            return (words, false);
        };
        let typed = command.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>();
        let Some(command) = typed.first().and_then(|first| self.command(first)) else {
            return (self.people(), false);
        };
        let forms = command.forms.iter().map(|(form, _)| form.split(' ').collect::<Vec<_>>());
        let fitting = forms.filter(|form| {
            form.iter().zip(&typed).skip(1).all(|(form, word)| is_variable(form) || form == word)
        });
        let next = fitting.filter_map(|form| {
            // A list goes on.
            form.get(typed.len()).or(form.last().filter(|last| is_list(last))).copied()
        });
        let next = next.collect::<Vec<_>>();
        let words = next.iter().flat_map(|form| self.meanings(command, &typed, form)).collect();
        (words, next.iter().any(|form| is_list(form)))
    }

    /// What may stand for a word of a command's form.
    fn meanings(&self, command: &Command, typed: &[&str], form: &str) -> Vec<String> {
        match form {
            "COMMAND" => self.commands.iter().map(|command| command.word.to_owned()).collect(),
            // A new group has a new name.
            "NAME" if command.word == "group" && typed.contains(&"set") => Vec::new(),
            "NAME" if command.word == "group" => self.groups.iter().cloned().collect(),
            "NAME" | "text" => self.people(),
            _ if is_list(form) => self.people(),
            _ if is_variable(form) => Vec::new(),
            literal => vec![literal.to_owned()],
        }
    }

    fn people(&self) -> Vec<String> {
        self.people.iter().cloned().collect()
    }

    fn command(&self, word: &str) -> Option<&Command> {
        self.commands.iter().find(|command| command.word.eq_ignore_ascii_case(word))
    }
}

impl Candidates {
    /// What they all begin with, in the case of the first of them.
    pub fn common(&self) -> &str {
        let Some((first, others)) = self.all.split_first() else { return "" };
        let ends = first.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
        let mut prefixes = ends.filter_map(|end| first.get(..end));
        let common = prefixes.find(|prefix| others.iter().all(|other| starts_with(other, prefix)));
        common.unwrap_or_default()
    }
}

/// Replaces `:smile:` at the end of `head` by the emoji: how many bytes, and by what.
pub fn emoji_at_end(head: &str) -> Option<(usize, &'static str)> {
    let code = head.strip_suffix(':')?;
    let (before, code) = code.rsplit_once(':')?;
    // In 10:30:45 or a:b:c nobody means an emoji.
    if before.ends_with(|c: char| !c.is_whitespace()) {
        return None;
    }
    let emoji = emojis::get_by_shortcode(code).filter(|emoji| is_shown(emoji))?;
    Some((code.len() + 2, emoji.as_str()))
}

/// Flags of parts of a country are made of invisible characters, which are escaped in a chat.
fn is_shown(emoji: &Emoji) -> bool {
    escape::text(emoji.as_str()) == emoji.as_str()
}

fn emoji(code: &str) -> Vec<String> {
    if code.len() < EMOJI {
        return Vec::new();
    }
    let emoji = emojis::iter().filter(|emoji| is_shown(emoji));
    let codes = emoji.flat_map(|emoji| emoji.shortcodes());
    codes.filter(|name| name.starts_with(code)).map(|name| format!(":{name}:")).collect()
}

/// Words of a form that stand for something else.
fn is_variable(form: &str) -> bool {
    form == "text" || is_list(form) || form.chars().all(|c| !c.is_lowercase())
}

fn is_list(form: &str) -> bool {
    form.contains(',')
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command;

    fn candidates(head: &str) -> Candidates {
        let known = Known {
            commands: command::CHAT.into(),
            people: ["Bob", "carol", "car_2"].map(str::to_owned).into(),
            groups: ["team".to_owned()].into(),
        };
        known.candidates(head)
    }

    fn words(head: &str) -> Vec<String> {
        candidates(head).all
    }

    #[test]
    fn every_place_of_every_command() {
        for (head, expected) in [
            ("@", "@Bob @car_2 @carol @group @help @names @quit @status"),
            ("@s", "@status"),
            ("  @b", "@Bob"),
            ("@help ", "group help NAME names quit status"),
            ("@help s", "status"),
            ("@quit ", ""),
            ("@status ", "away dnd normal"),
            ("@status d", "dnd"),
            ("@status dnd ", ""),
            ("@group ", "delete leave send set"),
            ("@group set ", ""),
            ("@group set team ", "Bob car_2 carol"),
            ("@group set team bob,c", "car_2 carol"),
            ("@group set team bob,", "Bob car_2 carol"),
            ("@group set team bob carol,", "Bob car_2 carol"),
            ("@group send ", "team"),
            ("@group send team b", "Bob"),
            ("@group leave t", "team"),
            ("@group delete  t", "team"),
            ("@GROUP leave ", "team"),
            ("@group nosuch ", ""),
            ("@bob ca", "car_2 carol"),
            ("B", "Bob"),
            ("hello ca", "car_2 carol"),
            ("hello @", ""),
            ("hello :rocke", ":rocket:"),
            (":r", ""),
            ("hello x", ""),
            ("é", ""),
        ] {
            assert_eq!(words(head).join(" "), expected, "{head:?}");
        }
    }

    #[test]
    fn what_is_replaced_and_by_what_in_common() {
        let found = candidates("@group set team bob,C");
        assert_eq!((found.replaces, found.common(), found.more), (1, "car", true));
        let found = candidates("@b");
        assert_eq!((found.replaces, found.common(), found.more), (2, "@Bob", false));
        assert_eq!(candidates("x").common(), "");
        assert_eq!(candidates("").common(), "", "everything");
    }

    #[test]
    fn an_emoji_by_its_name() {
        assert_eq!(emoji_at_end("hi :smile:"), Some((7, "😄")));
        assert_eq!(emoji_at_end(":+1:"), Some((4, "👍")));
        for none in [
            "hi",
            ":",
            "::",
            "10:30:",
            "a:b:",
            ":nosuch_emoji:",
            ":smile: ",
            "x:smile:",
            ":england:",
        ] {
            assert_eq!(emoji_at_end(none), None, "{none}");
        }
    }
}
