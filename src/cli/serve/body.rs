//! The bodies of answers: a text, a part of a file, or an answer of the model while it is being said.
//!
//! It knows frames and no routes. Invariant: the body of an answer that is being said is all that hears it, so that with it (a
//! client that went away) the hearing ends, and the worker stops.

use super::speech::Voice;
use super::worker::Said;
use hyper::body::{Body as HttpBody, Bytes, Frame, SizeHint};
use serde_json::Value;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc::{Receiver, UnboundedReceiver, channel};

/// Bytes of a file that are read at once.
const PIECE: usize = 256 << 10;
/// Pieces of a file that wait for a slow reader.
const PIECES_MAX: usize = 2;

/// A body.
pub enum Body {
    /// At once; none once it was sent.
    Whole(Option<Bytes>),
    /// A part of a file, as it is read.
    File {
        /// Pieces of it.
        pieces: Receiver<io::Result<Bytes>>,
        /// Bytes to come.
        left: u64,
    },
    /// Server-sent events.
    Spoken(Box<Spoken>),
}

/// An answer while it is being said.
pub struct Spoken {
    said: UnboundedReceiver<Said>,
    voice: Voice,
    tells_usage: bool,
    /// Events that are ready.
    ready: VecDeque<Bytes>,
    ended: bool,
}

impl Spoken {
    /// The events of an answer that has begun.
    pub fn new(said: UnboundedReceiver<Said>, voice: Voice, tells_usage: bool) -> Spoken {
        let ready = VecDeque::from([event(&voice.first())]);
        Spoken { said, voice, tells_usage, ready, ended: false }
    }

    fn hear(&mut self, said: Option<Said>) {
        match said {
            Some(Said::Begun { .. }) => {}
            Some(Said::Text(text)) => self.ready.push_back(event(&self.voice.more(&text))),
            Some(Said::Ended(ending)) => {
                self.ready.push_back(event(&self.voice.last(&ending)));
                if self.tells_usage {
                    self.ready.push_back(event(&self.voice.counted(&ending)));
                }
                self.ready.push_back(Bytes::from_static(b"data: [DONE]\n\n"));
                self.ended = true;
            }
            Some(Said::Refused(refusal)) => {
                self.ready.push_back(event(&refusal.body()));
                self.ended = true;
            }
            // The worker is gone; a stream without its end is the only sign left.
            None => self.ended = true,
        }
    }
}

fn event(value: &Value) -> Bytes {
    format!("data: {value}\n\n").into()
}

impl Body {
    /// A text.
    pub fn text(text: impl Into<Bytes>) -> Body {
        Body::Whole(Some(text.into()))
    }

    /// Bytes of a file, read by a thread of their own as the client takes them.
    pub fn file(path: &Path, first: u64, length: u64) -> io::Result<Body> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(first))?;
        let mut file = file.take(length);
        let (sender, pieces) = channel(PIECES_MAX);
        tokio::task::spawn_blocking(move || {
            loop {
                let mut piece = Vec::new();
                let read = file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                let ends = piece.is_empty() || read.is_err();
                if ends && read.is_ok() {
                    break;
                }
                // A reader that went away needs no more.
                if sender.blocking_send(read.map(|_| piece.into())).is_err() || ends {
                    break;
                }
            }
        });
        Ok(Body::File { pieces, left: length })
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::File { pieces, left } => pieces.poll_recv(context).map(|piece| {
                let piece = piece?;
                if let Ok(piece) = &piece {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Some(piece.map(Frame::data))
            }),
            Body::Spoken(spoken) => loop {
                if let Some(event) = spoken.ready.pop_front() {
                    return Poll::Ready(Some(Ok(Frame::data(event))));
                }
                if spoken.ended {
                    return Poll::Ready(None);
                }
                match spoken.said.poll_recv(context) {
                    Poll::Ready(said) => spoken.hear(said),
                    Poll::Pending => return Poll::Pending,
                }
            },
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Body::File { left, .. } => SizeHint::with_exact(*left),
            Body::Spoken(_) => SizeHint::default(),
        }
    }
}
