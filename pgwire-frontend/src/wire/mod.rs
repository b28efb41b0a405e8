//! Frames of the Postgres protocol: bounded reading of what clients send, writing of what the server sends. Knows no state.

mod asked;
mod backend;
mod frontend;
mod reader;

pub(crate) use asked::{Asked, VALUES_MAX};
pub(crate) use backend::{Format, Writer, frame_end, put_length};
pub(crate) use frontend::{
    Bind, FrameError, FrameLimits, Message, Parse, Phase, Recoverable, Refusal, Target, invalid_bytes, next_message,
};
pub(crate) use reader::{Reader, Short};
