//! The socket of a connection: mio's. In the tests of this crate's own modules it may be a fake one, whose
//! system calls answer whatever the test wants.

use socket2::SockRef;

#[cfg(not(test))]
pub(crate) type Stream = mio::net::TcpStream;

/// Whether a read or a write of fewer bytes than it might have been shows that the kernel has no more: no further
/// call is needed to see `WouldBlock`. So it is where readiness comes in edges, from epoll or kqueue. Elsewhere
/// readiness is armed again by that very error.
#[cfg(not(test))]
#[inline]
pub(crate) fn short_says_all(_: &Stream) -> bool {
    SHORT_SAYS_ALL
}

/// The socket, for its options.
#[cfg(not(test))]
pub(crate) fn options_of(stream: &Stream) -> Option<SockRef<'_>> {
    Some(SockRef::from(stream))
}

#[cfg(test)]
pub(crate) fn options_of(stream: &Stream) -> Option<SockRef<'_>> {
    match stream {
        Stream::Kernel(stream) => Some(SockRef::from(stream)),
        Stream::Fake(_) => None,
    }
}

#[cfg(test)]
pub(crate) fn short_says_all(stream: &Stream) -> bool {
    match stream {
        Stream::Kernel(_) => SHORT_SAYS_ALL,
        Stream::Fake(socket) => socket.short_says_all(),
    }
}

const SHORT_SAYS_ALL: bool = cfg!(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux",
    target_os = "netbsd",
    target_os = "openbsd",
    target_os = "redox",
));

#[cfg(test)]
pub(crate) use fake::{Dial, FakeSocket, Stream};

#[cfg(test)]
mod fake {
    use mio::event::Source;
    use mio::net::TcpStream;
    use mio::{Interest, Registry, Token};
    use std::io::{self, IoSlice, Read, Write};
    use std::net::{Shutdown, SocketAddr};

    /// What the loop asks of a socket. Dropped, it is closed.
    pub(crate) trait FakeSocket: Send {
        fn register(&mut self, token: Token) -> io::Result<()>;
        fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
        fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
        fn shutdown(&self) -> io::Result<()>;
        fn take_error(&self) -> io::Result<Option<io::Error>>;

        fn short_says_all(&self) -> bool {
            true
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }

        fn peer_addr(&self) -> io::Result<SocketAddr> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// What connecting to an address answers; to a Unix socket, where there is none.
    pub(crate) type Dial = Box<dyn FnMut(Option<SocketAddr>) -> io::Result<Stream> + Send>;

    pub(crate) enum Stream {
        Kernel(TcpStream),
        Fake(Box<dyn FakeSocket>),
    }

    impl From<TcpStream> for Stream {
        fn from(stream: TcpStream) -> Self {
            Self::Kernel(stream)
        }
    }

    impl Read for &Stream {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self {
                Stream::Kernel(stream) => (&mut &*stream).read(buffer),
                Stream::Fake(socket) => socket.read(buffer),
            }
        }
    }

    impl Write for &Stream {
        fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
            match self {
                Stream::Kernel(stream) => (&mut &*stream).write(buffer),
                Stream::Fake(socket) => socket.write(&[IoSlice::new(buffer)]),
            }
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            match self {
                Stream::Kernel(stream) => (&mut &*stream).write_vectored(slices),
                Stream::Fake(socket) => socket.write(slices),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Stream {
        pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
            match self {
                Self::Kernel(stream) => stream.shutdown(how),
                Self::Fake(socket) => socket.shutdown(),
            }
        }

        pub(crate) fn take_error(&self) -> io::Result<Option<io::Error>> {
            match self {
                Self::Kernel(stream) => stream.take_error(),
                Self::Fake(socket) => socket.take_error(),
            }
        }

        pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
            match self {
                Self::Kernel(stream) => stream.local_addr(),
                Self::Fake(socket) => socket.local_addr(),
            }
        }

        pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
            match self {
                Self::Kernel(stream) => stream.peer_addr(),
                Self::Fake(socket) => socket.peer_addr(),
            }
        }
    }

    impl Source for Stream {
        fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            match self {
                Self::Kernel(stream) => stream.register(registry, token, interests),
                Self::Fake(socket) => socket.register(token),
            }
        }

        fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            match self {
                Self::Kernel(stream) => stream.reregister(registry, token, interests),
                Self::Fake(_) => Err(io::ErrorKind::Unsupported.into()),
            }
        }

        fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
            match self {
                Self::Kernel(stream) => stream.deregister(registry),
                Self::Fake(_) => Ok(()),
            }
        }
    }
}
