//! Compiles the Rust in `docs/`. `tests/programs.rs` runs its programs.

macro_rules! compile {
    ($($name:ident = $file:literal),* $(,)?) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!(concat!("../../../docs/", $file))]
            struct $name;
        )*
    };
}

compile! {
    Certificates = "certificates.md",
    Design = "design.md",
    FromDesktopScripting = "from-desktop-scripting.md",
    FromNodeWs = "from-node-ws.md",
    FromTungstenite = "from-tungstenite.md",
    Recipes = "recipes.md",
    Subprotocols = "subprotocols.md",
    TokioAndAxum = "tokio-and-axum.md",
}
