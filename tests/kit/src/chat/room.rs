//! The room: its members, its history, and what each page must receive. It does no I/O and reads no clock, so its tests
//! need neither.

use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

const NAME_LIMIT: usize = 40;
const TEXT_LIMIT: usize = 4_000;
/// The page generates random session and message keys.
const KEY_LIMIT: usize = 64;
/// How many messages are kept for new members.
const HISTORY: usize = 100;
/// How many people are remembered. Present members are never forgotten.
const MEMORY: usize = 1_000;

/// A message from a page.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    /// The first message, repeated after every reconnect. The session is the person's secret identity; `after` is the
    /// newest message that the page has, or 0.
    Hello { session: String, name: String, after: u64 },
    /// A chat message. A page that receives no reply resends it with the same key.
    Say { key: String, text: String },
    /// A liveness check: browser scripts do not see WebSocket pings.
    Ping,
}

/// The JSON to send in response, in this order.
#[derive(Debug, Default, PartialEq)]
pub struct Reply {
    /// To the connection that caused it.
    pub one: Option<String>,
    /// To everyone in the room.
    pub all: Option<String>,
}

/// A known person. The session stays between the server and that person's pages.
#[derive(Serialize)]
struct Person {
    id: u64,
    name: String,
    #[serde(skip)]
    session: String,
}

#[derive(Serialize)]
struct Message {
    id: u64,
    from: u64,
    name: String,
    text: String,
    /// Milliseconds since 1970, as JavaScript counts.
    time: u64,
    key: String,
}

/// A room whose members are connections `C`. A person may have several: tabs, or an old one not yet known to be
/// dead.
pub struct Room<C> {
    people: Vec<Person>,
    members: HashMap<C, u64>,
    history: VecDeque<Message>,
    /// The newest message dropped from the history.
    forgotten: u64,
    last_id: u64,
}

impl<C: Copy + Eq + Hash> Room<C> {
    /// An empty room. Ids count up from `now`, in milliseconds, so that they keep growing across restarts and a page
    /// can request messages after the last one it has seen.
    pub fn new(now: u64) -> Self {
        Self {
            people: Vec::new(),
            members: HashMap::new(),
            history: VecDeque::new(),
            forgotten: now,
            last_id: now,
        }
    }

    /// Whether a connection is in the room: it has sent its hello.
    pub fn contains(&self, connection: C) -> bool {
        self.members.contains_key(&connection)
    }

    /// Handles a page's message. The error says what is wrong with it; the chat's own page never causes one.
    pub fn receive(&mut self, connection: C, text: &str, now: u64) -> Result<Reply, &'static str> {
        match serde_json::from_str(text).map_err(|_| "not a message of this chat")? {
            FromPage::Hello { session, name, after } => self.hello(connection, session, &name, after),
            FromPage::Say { key, text } => self.say(connection, key, &text, now),
            FromPage::Ping => Ok(Reply { one: Some(json!({ "type": "pong" }).to_string()), all: None }),
        }
    }

    /// Removes a connection. The pages allow its person a moment to return before they show it.
    pub fn leave(&mut self, connection: C) -> Reply {
        match self.members.remove(&connection) {
            Some(person) if !self.is_here(person) => Reply { one: None, all: Some(self.presence()) },
            _ => Reply::default(),
        }
    }

    fn hello(
        &mut self,
        connection: C,
        session: String,
        name: &str,
        after: u64,
    ) -> Result<Reply, &'static str> {
        // One line without control characters, even if pasted.
        let name = name.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        let name = name.collect::<Vec<_>>().join(" ");
        if name.is_empty() || name.chars().count() > NAME_LIMIT {
            return Err("a name has 1 to 40 characters");
        }
        if session.len() < 16 || session.len() > KEY_LIMIT {
            return Err("a session has 16 to 64 characters");
        }

        self.members.remove(&connection); // drop its previous identity
        let name = self.free_name(name, &session);
        let you = match self.people.iter_mut().find(|person| person.session == session) {
            Some(person) => {
                person.name.clone_from(&name);
                person.id
            }
            None => {
                let id = self.next_id();
                self.people.push(Person { id, name: name.clone(), session });
                id
            }
        };
        self.members.insert(connection, you);
        self.forget_absent();

        let people: Vec<_> = self.here().collect();
        let messages: Vec<_> = self.history.iter().filter(|message| message.id > after).collect();
        let gap = after != 0 && after < self.forgotten;
        let welcome = json!({
            "type": "welcome", "you": you, "name": name, "people": people, "messages": messages, "gap": gap,
        });
        Ok(Reply { one: Some(welcome.to_string()), all: Some(self.presence()) })
    }

    fn say(&mut self, connection: C, key: String, text: &str, now: u64) -> Result<Reply, &'static str> {
        let Some(&from) = self.members.get(&connection) else { return Err("say hello first") };
        let text = text.trim();
        if text.is_empty() || text.chars().count() > TEXT_LIMIT {
            return Err("a message has 1 to 4,000 characters");
        }
        if key.is_empty() || key.len() > KEY_LIMIT {
            return Err("a message has a key of 1 to 64 characters");
        }
        // A retry after a connection lost the reply: everyone has the message already.
        if self.history.iter().any(|message| message.from == from && message.key == key) {
            return Ok(Reply::default());
        }

        let name = self.people.iter().find(|person| person.id == from).map(|person| person.name.clone());
        let name = name.unwrap_or_default(); // present members are never forgotten
        let message = Message { id: self.next_id(), from, name, text: text.to_owned(), time: now, key };
        let all = json!({ "type": "message", "message": message }).to_string();
        self.history.push_back(message);
        if self.history.len() > HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.id;
        }
        Ok(Reply { one: None, all: Some(all) })
    }

    fn here(&self) -> impl Iterator<Item = &Person> {
        self.people.iter().filter(|person| self.is_here(person.id))
    }

    fn is_here(&self, person: u64) -> bool {
        self.members.values().any(|&member| member == person)
    }

    fn presence(&self) -> String {
        json!({ "type": "people", "people": self.here().collect::<Vec<_>>() }).to_string()
    }

    /// The name, or the name with the first free number, so that names stay distinct.
    fn free_name(&self, name: String, session: &str) -> String {
        let taken = |wanted: &str| {
            let wanted = wanted.to_lowercase();
            self.here().any(|other| other.session != session && other.name.to_lowercase() == wanted)
        };
        if !taken(&name) {
            return name;
        }
        (2..).map(|n| format!("{name} {n}")).find(|numbered| !taken(numbered)).unwrap_or(name)
    }

    fn forget_absent(&mut self) {
        if self.people.len() > MEMORY
            && let Some(absent) = self.people.iter().position(|person| !self.is_here(person.id))
        {
            self.people.remove(absent);
        }
    }

    /// One counter for people and messages.
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const ADA: &str = "the session of Ada";
    const BOB: &str = "the session of Bob";

    impl Room<u8> {
        fn receive_json(&mut self, connection: u8, message: Value) -> Result<Reply, &'static str> {
            self.receive(connection, &message.to_string(), 1_000)
        }

        fn join(&mut self, connection: u8, session: &str, name: &str, after: u64) -> Value {
            let hello = json!({ "type": "hello", "session": session, "name": name, "after": after });
            parsed(self.receive_json(connection, hello).unwrap().one)
        }

        fn post(&mut self, connection: u8, key: &str, text: &str) -> Reply {
            self.receive_json(connection, json!({ "type": "say", "key": key, "text": text })).unwrap()
        }

        fn names(&self) -> Vec<&str> {
            self.here().map(|person| person.name.as_str()).collect()
        }
    }

    fn parsed(json: Option<String>) -> Value {
        serde_json::from_str(&json.unwrap()).unwrap()
    }

    fn texts(welcome: &Value) -> Vec<&str> {
        welcome["messages"].as_array().unwrap().iter().map(|m| m["text"].as_str().unwrap()).collect()
    }

    #[test]
    fn a_new_member_receives_history_and_members() {
        let mut room = Room::new(0);
        let ada = room.join(1, ADA, " Ada\n Byron ", 0);
        assert_eq!(ada["name"], "Ada Byron");
        let posted = parsed(room.post(1, "k", " hello\nworld ").all);
        assert_eq!(posted["message"]["text"], "hello\nworld");
        assert_eq!(posted["message"]["from"], ada["you"]);
        assert_eq!(posted["message"]["time"], 1_000);

        let bob = room.join(2, BOB, "Bob", 0);
        assert_eq!(texts(&bob), ["hello\nworld"]);
        assert_eq!(
            bob["people"][0],
            json!({ "id": ada["you"], "name": "Ada Byron" }),
            "the session is not disclosed"
        );
        assert_eq!(bob["people"][1]["id"], bob["you"]);
    }

    #[test]
    fn a_reload_keeps_the_identity_and_the_last_connection_counts() {
        let mut room = Room::new(0);
        let before = room.join(1, ADA, "Ada", 0);
        let after = room.join(2, ADA, "Ada", 0);
        assert_eq!((&before["you"], &before["name"]), (&after["you"], &after["name"]));
        assert_eq!(room.names(), ["Ada"]);
        assert_eq!(room.leave(1), Reply::default());
        assert_eq!(parsed(room.leave(2).all)["people"], json!([]));
        assert_eq!(room.join(3, ADA, "Ada", 0)["you"], before["you"], "even after an absence");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let mut room = Room::new(0);
        room.join(1, ADA, "Ada", 0);
        room.join(2, BOB, "ada", 0);
        room.join(3, "the session of a third", "Ada", 0);
        assert_eq!(room.names(), ["Ada", "ada 2", "Ada 3"]);
        room.leave(1);
        room.join(4, "the session of a fourth", "Ada", 0);
        assert_eq!(room.names(), ["ada 2", "Ada 3", "Ada"], "a free name is free");
    }

    #[test]
    fn a_reconnect_misses_and_repeats_nothing() {
        let mut room = Room::new(0);
        room.join(1, ADA, "Ada", 0);
        room.join(2, BOB, "Bob", 0);
        let seen = parsed(room.post(1, "a", "one").all)["message"]["id"].as_u64().unwrap();
        room.leave(2);
        room.post(1, "b", "two");
        let back = room.join(3, BOB, "Bob", seen);
        assert_eq!((texts(&back), &back["gap"]), (vec!["two"], &json!(false)));
    }

    #[test]
    fn a_message_repeated_with_its_key_is_posted_once() {
        let mut room = Room::new(0);
        room.join(1, ADA, "Ada", 0);
        room.join(2, BOB, "Bob", 0);
        assert!(room.post(1, "k", "once").all.is_some());
        assert_eq!(room.post(1, "k", "once"), Reply::default());
        assert!(room.post(2, "k", "another person's key").all.is_some());
    }

    #[test]
    fn history_is_bounded_and_gaps_are_reported() {
        let mut room = Room::new(0);
        room.join(1, ADA, "Ada", 0);
        let first = parsed(room.post(1, "0", "0").all)["message"]["id"].as_u64().unwrap();
        for n in 1..=HISTORY + 1 {
            room.post(1, &n.to_string(), &n.to_string());
        }
        let new = room.join(2, BOB, "Bob", 0);
        assert_eq!((texts(&new).len(), texts(&new)[0], &new["gap"]), (HISTORY, "2", &json!(false)));
        assert_eq!(room.join(3, BOB, "Bob", first)["gap"], true);
        assert_eq!(room.join(4, BOB, "Bob", first + 1)["gap"], false);
    }

    #[test]
    fn a_page_that_outlives_the_program_gets_new_messages() {
        let mut room = Room::new(1_000);
        room.join(1, ADA, "Ada", 0);
        let seen = parsed(room.post(1, "a", "before").all)["message"]["id"].as_u64().unwrap();

        let mut room = Room::new(2_000);
        room.join(1, ADA, "Ada", seen);
        room.post(1, "b", "after");
        let bob = room.join(2, BOB, "Bob", seen);
        assert_eq!((texts(&bob), &bob["gap"]), (vec!["after"], &json!(true)));
    }

    #[test]
    fn invalid_messages_are_rejected() {
        let mut room = Room::new(0);
        let hello = |session: &str, name: &str| json!({ "type": "hello", "session": session, "name": name, "after": 0 });
        let say = |key: &str, text: &str| json!({ "type": "say", "key": key, "text": text });
        assert!(room.receive(1, "{", 0).is_err());
        assert!(room.receive_json(1, json!({ "type": "dance" })).is_err());
        assert!(room.receive_json(1, json!({ "type": "hello" })).is_err());
        assert!(room.receive_json(1, say("k", "before the hello")).is_err());
        assert!(room.receive_json(1, hello(ADA, " \n ")).is_err());
        assert!(room.receive_json(1, hello(ADA, &"é".repeat(41))).is_err());
        assert!(room.receive_json(1, hello("short", "Ada")).is_err());
        assert!(!room.contains(1));
        assert!(room.receive_json(1, hello(ADA, &"é".repeat(40))).is_ok());
        assert!(room.contains(1));
        assert!(room.receive_json(1, say("k", "  ")).is_err());
        assert!(room.receive_json(1, say("", "text")).is_err());
        assert!(room.receive_json(1, say("k", &"é".repeat(4_001))).is_err());
        assert!(room.receive_json(1, say("k", &"é".repeat(4_000))).is_ok());
    }

    #[test]
    fn absent_people_are_eventually_forgotten_and_members_are_not() {
        let mut room = Room::new(0);
        room.join(1, ADA, "Ada", 0);
        for n in 0..MEMORY + 9 {
            room.join(2, &format!("the session of guest {n}"), "Guest", 0);
        }
        assert_eq!(room.people.len(), MEMORY);
        assert_eq!(room.names(), ["Ada", "Guest"]);
    }
}
