"""The messages of RFC 4475 (Session Initiation Protocol Torture Test Messages), written anew.

Each has the fault or the twist that its section describes. ``{me}`` is the host and port to answer
to, ``{length}`` the body's length; the Request-URIs name the bridge where the RFC names example.com
for no reason of its own. What the bridge is to answer stands beside each: statuses, ``None`` for
nothing at all.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["TORTURE", "Torture"]


@dataclass(frozen=True)
class Torture:
    """One message.

    Attributes:
        section: of RFC 4475.
        text: the message, lines ended by a line feed.
        answers: final statuses that are right; None among them allows silence.
        body: the body, lines ended by a line feed.
    """

    section: str
    text: str
    answers: tuple[int | None, ...]
    body: str = ""

    def pack(self, me: str) -> bytes:
        """Return the octets; the text's escapes have been made real already."""
        body = self.body.replace("\n", "\r\n").encode("latin-1")
        head = self.text.replace("\n", "\r\n").replace("{me}", me)
        return head.replace("{length}", str(len(body))).encode("latin-1") + b"\r\n\r\n" + body


SDP = (
    "v=0\no=mhandley 29739 7272939 IN IP4 127.0.0.1\ns=-\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 49217 RTP/AVP 0 12\nm=video 3227 RTP/AVP 31\na=rtpmap:31 LPC\n"
)


def _request(  # noqa: PLR0913 - what differs between the messages
    name: str,
    method: str = "OPTIONS",
    *,
    target: str = "sip:user@127.0.0.1",
    start: str = "",
    to: str = "sip:j.user@example.com",
    sender: str = "<sip:caller@example.net>;tag=323",
    cseq: str = "",
    more: tuple[str, ...] = (),
    version: str = "SIP/2.0",
) -> str:
    """Return an ordinary request with the parts given."""
    lines = [
        start or f"{method} {target} {version}",
        f"Via: {version}/UDP {{me}};branch=z9hG4bK.{name}",
        "Max-Forwards: 70",
        f"From: {sender}",
        f"To: {to}",
        f"Call-ID: {name}.dkjfasd345",
        f"CSeq: {cseq or '8 ' + method}",
        "Contact: <sip:caller@{me}>",
        *more,
    ]
    if not any(line.lower().startswith(("content-length", "l:")) for line in more):
        lines.append("Content-Length: {length}")
    return "\n".join(lines)


_SDP_TYPE = ("Content-Type: application/sdp",)

TORTURE: dict[str, Torture] = {
    # -- 3.1.1 valid messages --------------------------------------------------------------------
    "wsinv": Torture(
        "3.1.1.1",
        "INVITE sip:vivekg@127.0.0.1;unknownparam SIP/2.0\nTO :\n sip:vivekg@chair-dnrc.example.com"
        ' ;   tag    =\nfrom   : "J Rosenberg \\\\\\""       <sip:jdrosen@example.com>\n  ;\n'
        "  tag = 98asjd8\nMaX-fOrWaRdS: 0068\nCall-ID: wsinv.ndaksdj@192.0.2.1\n"
        "Content-Length   : {length}\ncseq: 0009\n  INVITE\nVia  : SIP  /   2.0\n /UDP\n    {me}"
        ";branch=390skdjuw\ns :\nNewFangledHeader:   newfangled value\n continued newfangled "
        "value\n"
        "UnknownHeaderWithUnusualValue: ;;,,;;,;\nContent-Type: application/sdp\n"
        "Route:\n <sip:services.example.com;lr;unknownwith=value;unknown-no-value>\n"
        "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\n  branch  =   z9hG4bK9ikj8  ,\n"
        " SIP  /    2.0   / UDP  192.168.255.111   ; branch=\n z9hG4bK30239\n"
        'm:"Quoted string \\"\\"" <sip:jdrosen@127.0.0.1> ; newparam =\n      newvalue ;\n'
        "  secondparam ; q = 0.33",
        (200,),
        SDP,
    ),
    "intmeth": Torture(
        "3.1.1.2",
        _request(
            "intmeth",
            "!interesting-Method0123456789_*+`.%indeed'~",
            target="sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d"
            "_too.(doesn't-it)@127.0.0.1",
            to='"BEL:\\\x07 NUL:\\\x00 DEL:\\\x7f" <sip:1_unusual.URI~(to-be!sure)&isn\'t+it$/'
            "crazy?,/;;*@example.com>",
            sender="token1~` token2'+_ token3*%!.- <sip:mundane@example.com>;fromParam''~+*_!.-%="
            '"\xd1\x80\xd0\xb0\xd0\xb1\xd0\xbe\xd1\x82\xd0\xb0";tag=_token~1\'+`*%!-.',
        ),
        (501,),
    ),
    "esc01": Torture(
        "3.1.1.3",
        _request(
            "esc01",
            "INVITE",
            target="sip:sips%3Auser%40example.com@127.0.0.1",
            to="sip:%75se%72@example.com",
            sender="<sip:I%20have%20spaces@example.net>;tag=938",
            more=_SDP_TYPE,
        ),
        (200,),
        SDP,
    ),
    "escnull": Torture(
        "3.1.1.4",
        _request(
            "escnull",
            "REGISTER",
            target="sip:127.0.0.1",
            to="sip:null-%00-null@example.com",
            sender="sip:null-%00-null@example.com;tag=839923423",
            more=(
                "Contact: <sip:%00@host5.example.com>",
                "Contact: <sip:%00%00@host6.example.com>",
            ),
        ),
        (405,),
    ),
    "esc02": Torture(
        "3.1.1.5",
        _request(
            "esc02",
            "RE%47IST%45R",
            to='"%Z%45" <sip:resource@example.com>',
            sender='"%Z%45" <sip:resource@example.com>;tag=f232jadfj23',
        ),
        (501, 405),
    ),
    "lwsdisp": Torture(
        "3.1.1.6",
        _request("lwsdisp", sender="caller<sip:caller@example.com>;tag=323"),
        (200,),
    ),
    "longreq": Torture(
        "3.1.1.7",
        _request(
            "longreq",
            "INVITE",
            to='"I have a user name of ' + "extreme" * 10 + ' proportion"'
            "<sip:user@example.com:6000;unknownparam1=very" + "long" * 20 + "value;"
            "longparam"
            + "name" * 25
            + "=shortvalue;very"
            + "long" * 25
            + "ParameterNameWithNoValue>",
            sender="sip:"
            + "amazinglylongcallername" * 5
            + "@example.net;tag=12"
            + "982" * 50
            + "424;unknownheaderparam"
            + "name" * 20
            + "=unknowheaderparam"
            + "value" * 15,
            more=(
                "Unknown-"
                + "Long" * 20
                + "-Name: unknown-"
                + "long" * 20
                + "-value; unknown-"
                + "long" * 20
                + "-parameter-name = unknown-"
                + "long" * 20
                + "-parameter-value",
                *(f"Via: SIP/2.0/TCP sip{n}.example.com" for n in range(33, 0, -1)),
                *_SDP_TYPE,
            ),
        ),
        (200,),
        SDP,
    ),
    "dblreq": Torture(
        "3.1.1.8",
        _request("dblreq", "REGISTER", target="sip:127.0.0.1", more=("Content-Length: 0",))
        + "\n\nINVITE sip:joe@example.com SIP/2.0\nt: sip:joe@example.com\n"
        "From: sip:caller@example.net;tag=141334\nCall-ID: dblreq.0ha0isnda977644900765\n"
        "CSeq: 8 INVITE\nVia: SIP/2.0/UDP 135.180.130.133;branch=z9hG4bKkdjuw380234\n"
        "Content-Length: 0",
        (405,),
    ),
    "semiuri": Torture(
        "3.1.1.9",
        _request("semiuri", target="sip:user;par=u%40example.net@127.0.0.1"),
        (200,),
    ),
    "transports": Torture(
        "3.1.1.10",
        _request(
            "transports",
            more=tuple(
                f"Via: SIP/2.0/{name} t{name.lower()}.example.com;branch=z9hG4bK{name}"
                for name in ("SCTP", "TLS", "UNKNOWN", "TCP")
            ),
        ),
        (200,),
    ),
    "mpart01": Torture(
        "3.1.1.11",
        _request(
            "mpart01", "MESSAGE", more=("Content-Type: multipart/mixed;boundary=7a9cbec02ceef655",)
        ),
        (405,),
        "--7a9cbec02ceef655\nContent-Type: text/plain\nContent-Transfer-Encoding: binary\n\n"
        "Hello\n--7a9cbec02ceef655\nContent-Type: application/octet-stream\n\n"
        "\x30\x82\x01\x52\x06\x09\x2a\x86\x00\x00\xff\n--7a9cbec02ceef655--\n",
    ),
    "unreason": Torture(
        "3.1.1.12",
        _request("unreason", start="SIP/2.0 200 = 2**3 * 5**2 \xd0\xbd\xd0\xbe \xd1\x81\xd1\x82"),
        (None,),
    ),
    "noreason": Torture("3.1.1.13", _request("noreason", start="SIP/2.0 100 "), (None,)),
    # -- 3.1.2 invalid messages ------------------------------------------------------------------
    "badinv01": Torture(
        "3.1.2.1",
        _request(
            "badinv01",
            "INVITE",
            more=(
                "Contact: <sip:joe@example.com>;;;;",
                "Via: SIP/2.0/UDP 192.0.2.15;;,;,,",
                *_SDP_TYPE,
            ),
        ),
        (400, None),
        SDP,
    ),
    "clerr": Torture(
        "3.1.2.2",
        _request("clerr", "INVITE", more=("Content-Length: 9999", *_SDP_TYPE)),
        (400,),
        SDP,
    ),
    "ncl": Torture(
        "3.1.2.3",
        _request("ncl", "INVITE", more=("Content-Length: -999", *_SDP_TYPE)),
        (400, None),
        SDP,
    ),
    "scalar02": Torture(
        "3.1.2.4",
        _request(
            "scalar02",
            "REGISTER",
            target="sip:127.0.0.1",
            cseq="36893488147419103232 REGISTER",
            more=(
                "Max-Forwards: 300",
                "Expires: 10000000000000000000000000000000",
                "Contact: <sip:user@host129.example.com>;expires=280297596632815",
            ),
        ),
        (400, None),
    ),
    "scalarlg": Torture(
        "3.1.2.5",
        _request(
            "scalarlg",
            start="SIP/2.0 503 Service Unavailable",
            cseq="9292394834772304023312 OPTIONS",
            more=("Retry-After: 949302838503028349304023988", 'Warning: 1812 overture "x"'),
        ),
        (None,),
    ),
    "quotbal": Torture(
        "3.1.2.6",
        _request("quotbal", "INVITE", to='"Mr. J. User <sip:j.user@example.com>', more=_SDP_TYPE),
        (400, 200, None),
        SDP,
    ),
    "ltgtruri": Torture(
        "3.1.2.7",
        _request("ltgtruri", "INVITE", target="<sip:user@127.0.0.1>", more=_SDP_TYPE),
        (400, 416, None),
        SDP,
    ),
    "lwsruri": Torture(
        "3.1.2.8",
        _request("lwsruri", "INVITE", target="sip:user@127.0.0.1; lr", more=_SDP_TYPE),
        (400, 200, None),
        SDP,
    ),
    "lwsstart": Torture(
        "3.1.2.9",
        _request("lwsstart", "INVITE", target=" sip:user@127.0.0.1 ", more=_SDP_TYPE),
        (400, 200, 416, None),
        SDP,
    ),
    "trws": Torture(
        "3.1.2.10",
        _request("trws", start="OPTIONS sip:remote-target@127.0.0.1 SIP/2.0  "),
        (400, 200, None),
    ),
    "escruri": Torture(
        "3.1.2.11",
        _request(
            "escruri", "INVITE", target="sip:user@127.0.0.1?Route=%3Csip:a.com%3E", more=_SDP_TYPE
        ),
        (400, 200, None),
        SDP,
    ),
    "baddate": Torture(
        "3.1.2.12",
        _request("baddate", "INVITE", more=("Date: Fri, 01 Jan 2010 16:00:00 EST", *_SDP_TYPE)),
        (400, 200),
        SDP,
    ),
    "regbadct": Torture(
        "3.1.2.13",
        _request(
            "regbadct",
            "REGISTER",
            target="sip:127.0.0.1",
            more=("Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E",),
        ),
        (400, 405, None),
    ),
    "badaspec": Torture(
        "3.1.2.14",
        _request(
            "badaspec",
            to='"Watson, Thomas" < sip:t.watson@example.org >',
            sender='"Bell, Alexander" <sip:a.g.bell@example.com>;tag=43',
        ),
        (400, 200, None),
    ),
    "baddn": Torture(
        "3.1.2.15",
        _request("baddn", sender="Bell, Alexander <sip:a.g.bell@example.com>;tag=43"),
        (400, 200, None),
    ),
    "badvers": Torture("3.1.2.16", _request("badvers", version="SIP/7.0"), (505, 400, None)),
    "mismatch01": Torture("3.1.2.17", _request("mismatch01", cseq="8 INVITE"), (400, None)),
    "mismatch02": Torture(
        "3.1.2.18",
        _request("mismatch02", "NEWMETHOD", cseq="8 INVITE", more=_SDP_TYPE),
        (400, 501, None),
        SDP,
    ),
    "bigcode": Torture(
        "3.1.2.19", _request("bigcode", start="SIP/2.0 4294967301 better not break"), (None,)
    ),
    # -- 3.2 transaction layer -------------------------------------------------------------------
    "badbranch": Torture(
        "3.2.1",
        _request("badbranch").replace("branch=z9hG4bK.badbranch", "branch=z9hG4bK"),
        (200, 400, None),
    ),
    # -- 3.3 application layer -------------------------------------------------------------------
    "insuf": Torture(
        "3.3.1",
        "INVITE sip:user@127.0.0.1 SIP/2.0\nCSeq: 193942 INVITE\n"
        "Via: SIP/2.0/UDP {me};branch=z9hG4bKkdj.insuf\nContent-Type: application/sdp\n"
        "Content-Length: {length}",
        (400, None),
        SDP,
    ),
    "unkscm": Torture(
        "3.3.2",
        _request("unkscm", target="nobodyKnowsThisScheme:totallyopaquecontent"),
        (416, 400, None),
    ),
    "novelsc": Torture(
        "3.3.3", _request("novelsc", target="soap.beep://192.0.2.103:3002"), (416, 400, None)
    ),
    "unksm2": Torture(
        "3.3.4",
        _request(
            "unksm2",
            "REGISTER",
            target="sip:127.0.0.1",
            to="isbn:2983792873",
            more=("Contact: <name:John_Smith>",),
        ),
        (400, 405, None),
    ),
    "bext01": Torture(
        "3.3.5",
        _request(
            "bext01",
            "INVITE",
            more=(
                "Proxy-Require: nothingSupportsThis, nothingSupportsThisEither",
                "Require: nothingSupportsThis, nothingSupportsThisEither",
                *_SDP_TYPE,
            ),
        ),
        (420,),
        SDP,
    ),
    "invut": Torture(
        "3.3.6",
        _request("invut", "INVITE", more=("Content-Type: application/unknownformat",)),
        (415,),
        '<audio>\n <pcmu port="443"/>\n</audio>\n',
    ),
    "regaut01": Torture(
        "3.3.7",
        _request(
            "regaut01",
            "REGISTER",
            target="sip:127.0.0.1",
            more=("Authorization: NoOneKnowsThisScheme opaque-data=here",),
        ),
        (405, 400, None),
    ),
    "multi01": Torture(
        "3.3.8",
        _request(
            "multi01",
            "INVITE",
            more=(
                "CSeq: 59 INVITE",
                "Call-ID: multi01.another",
                "Max-Forwards: 5",
                "From: <sip:other@example.net>;tag=3413415",
                "To: <sip:other@example.com>",
                *_SDP_TYPE,
            ),
        ),
        (400, None),
        SDP,
    ),
    "mcl01": Torture(
        "3.3.9",
        _request("mcl01", more=("Content-Length: 13", "Content-Length: 5")),
        (400, None),
        "There's no way to know\n",
    ),
    "bcast": Torture(
        "3.3.10",
        _request("bcast", start="SIP/2.0 200 OK").replace("{me}", "255.255.255.255"),
        (None,),
    ),
    "zeromf": Torture(
        "3.3.11",
        _request("zeromf").replace("Max-Forwards: 70", "Max-Forwards: 0"),
        (200, 483),
    ),
    "cparam01": Torture(
        "3.3.12",
        _request(
            "cparam01",
            "REGISTER",
            target="sip:127.0.0.1",
            more=("Contact: sip:+19725552222@gw1.example.net;unknownparam",),
        ),
        (405,),
    ),
    "cparam02": Torture(
        "3.3.13",
        _request(
            "cparam02",
            "REGISTER",
            target="sip:127.0.0.1",
            more=("Contact: <sip:+19725552222@gw1.example.net;unknownparam>",),
        ),
        (405,),
    ),
    "regescrt": Torture(
        "3.3.14",
        _request(
            "regescrt",
            "REGISTER",
            target="sip:127.0.0.1",
            more=("Contact: <sip:user@example.com?Route=%3Csip:sip.example.com%3E>",),
        ),
        (405,),
    ),
    "sdp01": Torture(
        "3.3.15",
        _request(
            "sdp01",
            "INVITE",
            more=("Accept: text/nobodyKnowsThis", *_SDP_TYPE),
        ),
        (406, 200),
        SDP,
    ),
    # -- 3.4 backward compatibility --------------------------------------------------------------
    "inv2543": Torture(
        "3.4.1",
        "INVITE sip:UserB@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {me}\n"
        'Record-Route: <sip:{me}>\nFrom: "Joe" <sip:caller@{me}>;tag=1\n'
        "To: <sip:callee@127.0.0.1>\nCall-ID: inv2543.1717@ift.client.example.com\n"
        "CSeq: 56 INVITE\nContact: <sip:caller@{me}>\nContent-Type: application/sdp",
        (200,),
        SDP,
    ),
}
