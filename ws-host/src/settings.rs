//! The settings of a connection, shared by servers and clients.

/// Setters that forward to the [`Config`](ws_proto::Config) of each connection.
macro_rules! forwarded {
    ($of:ident: $($(#[$doc:meta])* $name:ident($($value:ident: $type:ty),*);)+) => {
        impl $of {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(mut self, $($value: $type),*) -> Self {
                    self.connection = self.connection.$name($($value),*);
                    self
                }
            )+
        }
    };
}

/// The settings that servers and clients share.
macro_rules! connection_settings {
    ($of:ident) => {
        impl $of {
            /// Replaces all rules of a connection at once, discarding earlier settings. Each setting also has its own
            /// method here.
            #[must_use]
            pub fn connection(self, connection: ws_proto::Config) -> Self {
                Self { connection, ..self }
            }

            /// The rules of a connection.
            pub fn get_connection(&self) -> &ws_proto::Config {
                &self.connection
            }
        }

        $crate::settings::forwarded! { $of:
            /// Limits a message, in bytes: [`Config::message_limit`](ws_proto::Config::message_limit). 16 MiB.
            message_limit(bytes: u64);

            /// Sets how messages that arrive in fragments are delivered: [`Config::delivery`](ws_proto::Config::delivery).
            /// Whole.
            delivery(delivery: ws_proto::Delivery);

            /// Limits an HTTP head, in bytes: [`Config::head_limit`](ws_proto::Config::head_limit). 32 KiB.
            head_limit(bytes: usize);

            /// Limits the header fields of an HTTP head: [`Config::header_limit`](ws_proto::Config::header_limit). 100.
            header_limit(fields: usize);

            /// Limits an HTTP body, in bytes; for a client, how much of a rejection's body is kept:
            /// [`Config::body_limit`](ws_proto::Config::body_limit). 1 MiB, client 16 KiB.
            body_limit(bytes: usize);

            /// Limits the frames a second without content, as in `frame_rate(Some(1_000))`; `None` is no limit:
            /// [`Config::frame_rate`](ws_proto::Config::frame_rate). 1,000.
            frame_rate(per_second: Option<u32>);

            /// Limits the messages a second, as in `message_rate(Some(100))`; `None`, the default, is no limit:
            /// [`Config::message_rate`](ws_proto::Config::message_rate).
            message_rate(per_second: Option<u16>);

            /// Limits the bytes that are read and discarded while a connection drains:
            /// [`Config::drain_limit`](ws_proto::Config::drain_limit). 16 MiB.
            drain_limit(bytes: u64);

            /// Sets the marks and the cap of the outbox in bytes: [`Config::outbox`](ws_proto::Config::outbox). 64 KiB,
            /// 1 MiB and 16 MiB.
            outbox(low_mark: usize, high_mark: usize, cap: usize);

            /// Sets the time for the opening handshake:
            /// [`Config::handshake_timeout`](ws_proto::Config::handshake_timeout). 10 s.
            handshake_timeout(time: core::time::Duration);

            /// Sets how long the peer may take to answer our Close, once that is written:
            /// [`Config::close_timeout`](ws_proto::Config::close_timeout), which also says how long a slow peer may hold a
            /// close. 5 s.
            close_timeout(time: core::time::Duration);

            /// Sets how long output may wait while the peer reads too little of it:
            /// [`Config::output_timeout`](ws_proto::Config::output_timeout). 30 s.
            output_timeout(time: core::time::Duration);

            /// Sets how many bytes of pending output a peer must read a second:
            /// [`Config::min_output_rate`](ws_proto::Config::min_output_rate). 1 KiB.
            min_output_rate(bytes_per_second: u32);

            /// Sets the heartbeat: [`Config::heartbeat`](ws_proto::Config::heartbeat).
            /// [`Heartbeat::server`](ws_proto::Heartbeat::server), client
            /// [`Heartbeat::client`](ws_proto::Heartbeat::client).
            heartbeat(heartbeat: ws_proto::Heartbeat);

            /// Sets the memory that all connections share, including those of other servers and clients with the same
            /// value: [`Config::memory`](ws_proto::Config::memory). None.
            memory(memory: ws_proto::Memory);
        }

        #[cfg(feature = "deflate")]
        $crate::settings::forwarded! { $of:
            /// Compresses messages with peers that do so too: [`Config::deflate`](ws_proto::Config::deflate). Off.
            deflate(deflate: ws_proto::Deflate);
        }
    };
}

pub(crate) use {connection_settings, forwarded};
