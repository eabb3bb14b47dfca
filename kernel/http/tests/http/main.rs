//! The server and the client over bytes in memory, as a Linux process. What needs a network is in
//! `tests/scenarios/src/web.rs`.

mod client;
mod conversations;
mod refusals;
mod script;
#[path = "../../../hosted/tests/suite/mod.rs"]
mod suite;

fn main() {
    hosted::run_with(2, || {
        suite::run(&[
            ("what two could read in two ways is refused", refusals::smuggling),
            ("what is allowed is not refused", refusals::not_too_much),
            ("chunks that are no chunks are refused", refusals::chunks),
            ("too much is refused", refusals::too_much),
            ("damaged requests do no harm", refusals::damaged),
            ("requests are answered in their order", conversations::pipelined),
            ("a body comes and goes", conversations::bodies),
            ("a long body goes out in chunks", conversations::long_bodies),
            ("HEAD and some statuses have no body", conversations::without_a_body),
            ("who keeps the connection, and who does not", conversations::keeping),
            ("a word is said before the body", conversations::a_word_before_the_body),
            ("what the handler leaves is read", conversations::left_over),
            ("a handler's panic is its client's 500", conversations::panics),
            ("a field's value is one line", conversations::one_line),
            ("an answer is read as it is framed", client::framed),
            ("an answer that is none is refused", client::refused),
        ]);
    })
}
