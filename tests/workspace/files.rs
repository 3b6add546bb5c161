//! Files: `/api/2.0/fs/files`, their content made while it is sent. Source: REST reference "Files".

use super::api::{Access, Answer, Call, Route};
use super::http::{Body, Framing, Repeated, Response};
use std::collections::HashMap;

pub(super) const ROUTES: &[Route] = &[Route { method: "GET", path: "/api/2.0/fs/files/{path*}", access: Access::SignedIn, handle: get }];

/// A prime, so that no power of two hides a piece that is missing or doubled.
const PERIOD: u64 = 251;

/// What every file holds at a place.
pub fn byte_at(place: u64) -> u8 {
    u8::try_from(place % PERIOD).expect("below 256")
}

/// The sizes of the files by path.
#[derive(Debug, Default)]
pub(super) struct Files(HashMap<String, u64>);

impl Files {
    pub(super) fn put(&mut self, path: &str, size: u64) {
        self.0.insert(path.trim_start_matches('/').to_owned(), size);
    }
}

fn get(call: &Call<'_>) -> Answer {
    let path = call.part("path");
    let Some(size) = call.state.files.lock().unwrap().0.get(path).copied() else {
        return Err(Response::error(404, "NOT_FOUND", "The file being accessed is not found."));
    };
    let mut reply = Response::new(200).header("Content-Type", "application/octet-stream");
    reply.body = Body::Repeated(Repeated {
        head: Vec::new(),
        item: (0..PERIOD).map(byte_at).collect(),
        count: size / PERIOD,
        tail: (0..size % PERIOD).map(byte_at).collect(),
        framing: Framing::Length,
    });
    Ok(reply)
}
