"""The tap's checks of permessage-deflate (RFC 7692): the terms in a handshake, and whether messages follow them."""

import zlib

NAME = "permessage-deflate"
FLAGS = {"server_no_context_takeover", "client_no_context_takeover"}
BITS = {"server_max_window_bits", "client_max_window_bits"}
WINDOWS = {str(bits) for bits in range(8, 16)}
TAIL = b"\0\0\xff\xff"  # the bytes that every message omits (§7.2.1)


def elements(fields):
    """Returns the parameters of each permessage-deflate in a head's fields, as pairs. Assumes no quoted commas."""
    found = []
    for element in ",".join(fields.get("sec-websocket-extensions", [])).split(","):
        name, *parameters = [part.strip() for part in element.split(";")]
        if name.lower() == NAME:
            pairs = [parameter.partition("=") for parameter in parameters]
            found.append([(key.strip().lower(), value.strip().strip('"') if sign else None) for key, sign, value in pairs])
    return found


def parameter_faults(pairs, in_offer):
    """§7.1: each parameter known, at most once, and with a valid value."""
    faults = [f"{key} twice" for key in {key for key, _ in pairs} if [k for k, _ in pairs].count(key) > 1]
    for key, value in pairs:
        if key not in FLAGS | BITS:
            faults.append(f"unknown parameter {key}")
        elif key in FLAGS and value is not None:
            faults.append(f"{key} with a value")
        elif key in BITS and value not in WINDOWS and not (key == "client_max_window_bits" and in_offer and value is None):
            faults.append(f"{key} is {value}")
    return faults


def answers(offer, answer):
    """Whether this is a valid answer to an offer (§7.1.1, §7.1.2)."""
    for key in ("server_no_context_takeover", "server_max_window_bits"):
        if key in offer and key not in answer:
            return False
    if "client_max_window_bits" in answer and "client_max_window_bits" not in offer:
        return False
    return all(int(answer[key]) <= int(offer[key] or 15) for key in BITS & answer.keys() & offer.keys())


def offer_faults(request_fields):
    """Returns the faults in a client's offers."""
    return [fault for offer in elements(request_fields) for fault in parameter_faults(offer, in_offer=True)]


def answer_faults(request_fields, response_fields):
    """Returns the faults in a server's answer to them."""
    accepted = elements(response_fields)
    faults = [fault for answer in accepted for fault in parameter_faults(answer, in_offer=False)]
    if len(accepted) > 1:
        faults.append(f"{NAME} accepted twice")
    if accepted and not faults and not any(answers(dict(offer), dict(accepted[0])) for offer in elements(request_fields)):
        faults.append(f"{NAME} accepted with {dict(accepted[0])}, which fits no offer")
    return faults


class Inflater:
    """Inflates the messages of one side, with a window of the negotiated size."""

    def __init__(self, side, terms):
        self.bits = int(terms.get(f"{side}_max_window_bits", 15))
        self.takeover = f"{side}_no_context_takeover" not in terms
        # zlib lets a message refer to all input of one call, whatever the window: keep the input small.
        self.slice = (1 << self.bits) // 4
        self.context = None
        self.size = 0

    def feed(self, data: bytes):
        """Raises zlib.error for invalid deflate data, or a reference too far back."""
        if self.context is None:
            self.context = zlib.decompressobj(-self.bits)
        while True:
            given = len(self.context.decompress(data, self.slice))
            self.size += given
            data = self.context.unconsumed_tail
            if not data and given < self.slice:
                return

    def end(self):
        """Ends a message."""
        self.feed(TAIL)
        if not self.takeover:
            self.context = None
