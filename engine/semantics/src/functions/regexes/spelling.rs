//! Spells a tree for the engine whose time is linear in the text. Knows no pattern of PostgreSQL.

use super::tree::{Node, Place};
use std::fmt::Write;

/// `None`: it looks around or refers back, which takes more than linear time.
pub(super) fn spelled(node: &Node) -> Option<String> {
    let mut out = String::new();
    spell(node, &mut out)?;
    Some(out)
}

fn spell(node: &Node, out: &mut String) -> Option<()> {
    match node {
        Node::Empty => out.push_str("(?:)"),
        Node::One(set) => out.push_str(&set.spelled),
        Node::At(place) => out.push_str(match place {
            Place::TextStart => r"\A",
            Place::TextEnd => r"\z",
            Place::LineStart => "(?m:^)",
            Place::LineEnd => "(?m:$)",
            Place::WordStart => r"\b{start}",
            Place::WordEnd => r"\b{end}",
            Place::WordEdge => r"\b",
            Place::NoWordEdge => r"\B",
        }),
        Node::Sequence(parts) => parts.iter().try_for_each(|part| spell(part, out))?,
        Node::Choice(branches) => {
            out.push_str("(?:");
            for (at, branch) in branches.iter().enumerate() {
                if at > 0 {
                    out.push('|');
                }
                spell(branch, out)?;
            }
            out.push(')');
        }
        Node::Repeat { of, least, most, greedy } => {
            out.push_str("(?:");
            spell(of, out)?;
            out.push(')');
            match (least, most) {
                (0, None) => out.push('*'),
                (1, None) => out.push('+'),
                (0, Some(1)) => out.push('?'),
                (least, None) => write!(out, "{{{least},}}").ok()?,
                (least, Some(most)) => write!(out, "{{{least},{most}}}").ok()?,
            }
            if !greedy {
                out.push('?');
            }
        }
        Node::Group(_, inner) => {
            out.push('(');
            spell(inner, out)?;
            out.push(')');
        }
        Node::Again(_) | Node::Around { .. } => return None,
    }
    Some(())
}
