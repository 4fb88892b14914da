"""The provider's side of the translation matrix: what the simulator wrote down of a request
(sim/heard.h), brought to one form for all protocols."""
import base64
import hashlib
import hmac
import urllib.parse


def is_shown(shown, text):
    """Whether a string of the digest is this text: itself, or its length and FNV-1a."""
    if not isinstance(shown, dict):
        return shown == text
    value = 14695981039346656037
    for byte in text.encode():
        value = (value ^ byte) * 1099511628211 % 2 ** 64
    return shown == {"length": len(text.encode()), "fnv": "%016x" % value}


def plain_schema(schema):
    """A JSON schema without the differences that are Gemini's: capitals, and what it does not know."""
    if isinstance(schema, list):
        return [plain_schema(s) for s in schema]
    if not isinstance(schema, dict):
        return schema
    out = {k: plain_schema(v) for k, v in schema.items()
           if k not in ("additionalProperties", "$schema", "propertyOrdering", "title")}
    if isinstance(out.get("type"), str):
        out["type"] = out["type"].lower()
    return out


def texts_of(value):
    """Every string inside of a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [t for v in value for t in texts_of(v)] if isinstance(value, list) else []


class Heard:
    """system: texts; turns: [(role, [block])] with results in the user's turn and neighbours of
    one role joined; tools: {name: (description, schema)}; settings; marks: how many cache marks."""

    def __init__(self, digest):
        self.settings = digest.get("settings", {})
        self.marks = 0
        self.system = [b["text"] for b in self.blocks(digest.get("system", [])) if b["kind"] == "text"]
        self.turns = []
        for m in digest["messages"]:
            role = "user" if m["role"] == "tool" else m["role"]
            blocks = self.blocks(m["content"])
            if role == "system" and not self.turns:
                self.system += [b["text"] for b in blocks]
            elif self.turns and self.turns[-1][0] == role:
                self.turns[-1][1].extend(blocks)
            else:
                self.turns.append((role, blocks))
        self.tools = {t["name"]: (t.get("description"), plain_schema(t.get("schema")))
                      for t in digest.get("tools", []) if "name" in t}
        self.marks += sum(t.get("type") == "cache" or "cache" in t for t in digest.get("tools", []))

    def blocks(self, listed):
        out = []
        for b in listed:
            self.marks += "cache" in b or b["type"] == "cache"
            if b["type"] != "cache":
                out.append(self.block(b))
        return out

    def block(self, b):
        kind = b["type"]
        if kind == "image":
            media = b.get("media")
            return {"kind": "image", "media": media if media is None or "/" in media else "image/" + media,
                    "data": b.get("data"), "url": b.get("url")}
        if kind == "result":
            inner = self.blocks(b.get("content", []))
            texts = [i.get("text") for i in inner if i["kind"] == "text"] + texts_of(b.get("response", []))
            return {"kind": "result", "id": b.get("id"), "name": b.get("name"), "texts": texts,
                    "raw": b, "images": [i for i in inner if i["kind"] == "image"]}
        return dict(b, kind=kind)

    def of_kind(self, kind):
        return [b for _, blocks in self.turns for b in blocks if b["kind"] == kind]


# ---- AWS signatures ----
def check_signature(line, access_key, secret, service="bedrock"):
    """Raises unless the Authorization header of a witness line (with its body) is right:
    docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html"""
    headers = {k.lower(): v for k, v in line["headers"].items()}
    scheme, _, rest = headers["authorization"].partition(" ")
    assert scheme == "AWS4-HMAC-SHA256", scheme
    fields = dict(part.strip().split("=", 1) for part in rest.split(","))
    key_id, day, region, named, last = fields["Credential"].split("/")
    assert (key_id, named, last) == (access_key, service, "aws4_request"), fields
    assert headers["x-amz-date"].startswith(day), headers
    signed = fields["SignedHeaders"].split(";")
    assert "host" in signed and "x-amz-date" in signed and signed == sorted(signed), signed
    path, _, query = line["path"].partition("?")
    body = base64.b64decode(line["body_base64"])
    canonical = "\n".join([line["method"], urllib.parse.quote(path, safe="/-._~"), query]
                          + ["%s:%s" % (name, " ".join(headers[name].split())) for name in signed]
                          + ["", ";".join(signed), hashlib.sha256(body).hexdigest()])
    scope = "/".join((day, region, named, last))
    to_sign = "\n".join((scheme, headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = ("AWS4" + secret).encode()
    for part in (day, region, named, last):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    made = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    assert made == fields["Signature"], (canonical, fields["Signature"])
