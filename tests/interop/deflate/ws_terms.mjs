/** `server_max_window_bits=9; client_no_context_takeover` as the options of `ws`; `none` is no compression. */
export function perMessageDeflate(terms) {
  if (terms === 'none') return false;
  const options = { threshold: 0 };
  for (const term of terms.split(';').map((part) => part.trim()).filter(Boolean)) {
    const [name, value] = term.split('=');
    const [side, ...words] = name.split('_');
    const option = side + words.map((word) => word[0].toUpperCase() + word.slice(1)).join('');
    options[option] = value === undefined ? true : Number(value);
  }
  return options;
}
