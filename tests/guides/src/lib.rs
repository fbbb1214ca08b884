//! Compiles the Rust of `docs/`, and holds its programs, which `tests/programs.rs` runs.

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
    Design = "design.md",
    FromDesktopScripting = "from-desktop-scripting.md",
    FromNodeWs = "from-node-ws.md",
    FromTungstenite = "from-tungstenite.md",
    Recipes = "recipes.md",
    Subprotocols = "subprotocols.md",
    TokioAndAxum = "tokio-and-axum.md",
}
