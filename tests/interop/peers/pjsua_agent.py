"""One pjsua2 user agent, driven by JSON lines: commands on standard input, events on standard output.

It runs as a process of its own because pjsip keeps global state, allows one endpoint a process and ends the
whole process when an invariant fails. `peers/pjsua.py` is the other side of the conversation.
"""

import json
import os
import select
import sys

import pjsua2 as pj

SRTP = {"off": pj.PJMEDIA_SRTP_DISABLED, "optional": pj.PJMEDIA_SRTP_OPTIONAL, "mandatory": pj.PJMEDIA_SRTP_MANDATORY}
PRACK = {"off": pj.PJSUA_100REL_NOT_USED, "optional": pj.PJSUA_100REL_OPTIONAL, "mandatory": pj.PJSUA_100REL_MANDATORY}
TRANSPORT = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
MEDIA_STATUS = {
    pj.PJSUA_CALL_MEDIA_NONE: "none",
    pj.PJSUA_CALL_MEDIA_ACTIVE: "active",
    pj.PJSUA_CALL_MEDIA_LOCAL_HOLD: "local_hold",
    pj.PJSUA_CALL_MEDIA_REMOTE_HOLD: "remote_hold",
    pj.PJSUA_CALL_MEDIA_ERROR: "error",
}

# pjmedia's PJMEDIA_STREAM_DTMF_IS_UPDATE, which the Python binding leaves out.
DTMF_IS_UPDATE = 1


def tell(event, **facts):
    sys.stdout.write(json.dumps({"event": event, **facts}) + "\n")
    sys.stdout.flush()


class Call(pj.Call):
    def __init__(self, agent, account, call_id=pj.PJSUA_INVALID_ID):
        super().__init__(account, call_id)
        self.agent = agent
        self.player = self.recorder = None

    def onCallState(self, prm):
        info = self.getInfo()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            # Destroying the recorder writes the file's last samples and its lengths.
            self.player = self.recorder = None
        text = prm.e.body.tsxState.src.rdata.wholeMsg if prm.e.type == pj.PJSIP_EVENT_TSX_STATE else ""
        tell("state", call=self.getId(), state=info.stateText, code=info.lastStatusCode, reason=info.lastReason, message=text)

    def onCallMediaState(self, prm):
        # `info` must stay alive while its list is read: the binding frees the list with it.
        info = self.getInfo()
        for media in info.media:
            if media.type == pj.PJMEDIA_TYPE_AUDIO:
                self.connect(media.index)
                tell("media", call=self.getId(), status=MEDIA_STATUS.get(media.status, "?"))

    def connect(self, index):
        audio = self.getAudioMedia(index)
        if self.player:
            self.player.startTransmit(audio)
        if self.recorder:
            audio.startTransmit(self.recorder)

    def onDtmfEvent(self, prm):
        # One digit is many packets (RFC 4733 section 2.5.1.2); only its first is news.
        if not prm.flags & DTMF_IS_UPDATE:
            tell("dtmf", call=self.getId(), digit=prm.digit)


class Account(pj.Account):
    def __init__(self, agent):
        super().__init__()
        self.agent = agent

    def onRegState(self, prm):
        tell("registration", code=prm.code, reason=prm.reason, expires=prm.expiration, message=prm.rdata.wholeMsg)

    def onIncomingCall(self, prm):
        call = Call(self.agent, self, prm.callId)
        self.agent.calls[prm.callId] = call
        self.agent.prepare(call)
        tell("incoming", call=prm.callId, message=prm.rdata.wholeMsg)
        answer = self.agent.answer_with
        if answer:
            param = pj.CallOpParam()
            param.statusCode = answer
            call.answer(param)


class Agent:
    def __init__(self, options):
        self.calls = {}
        self.answer_with = options.get("answer")
        self.play, self.record = options.get("play"), options.get("record")
        self.transport = options["transport"]
        self.start(options)
        self.open_account(options)

    def start(self, options):
        self.endpoint = pj.Endpoint()
        self.endpoint.libCreate()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        config.uaConfig.userAgent = "pjsua2-interop"
        config.logConfig.level = 5
        config.logConfig.consoleLevel = 0
        config.logConfig.filename = options["log"]
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        # The clock of the null device drives the media; left alone it is stopped after a second without a sound card.
        config.medConfig.sndAutoCloseTime = -1
        self.endpoint.libInit(config)
        self.endpoint.audDevManager().setNullDev()
        transport = pj.TransportConfig()
        transport.port = options.get("port", 0)
        transport.boundAddress = transport.publicAddress = options["address"]
        if self.transport == "tls":
            transport.tlsConfig.CaListFile = options["ca"]
            transport.tlsConfig.verifyServer = True
            transport.tlsConfig.certFile = options.get("certificate", "")
            transport.tlsConfig.privKeyFile = options.get("key", "")
        self.endpoint.transportCreate(TRANSPORT[self.transport], transport)
        self.endpoint.libStart()
        for codec in self.endpoint.codecEnum2():
            self.endpoint.codecSetPriority(codec.codecId, 255 if codec.codecId.startswith("PCM") else 0)

    def open_account(self, options):
        config = pj.AccountConfig()
        config.idUri = options["id"]
        registrar = options.get("registrar")
        if registrar:
            config.regConfig.registrarUri = registrar
            config.regConfig.timeoutSec = options.get("expires", 300)
            config.regConfig.retryIntervalSec = 0
            config.regConfig.randomRetryIntervalSec = 0
        config.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", "*", options.get("user", ""), 0, options.get("password", ""))
        )
        if options.get("proxy"):
            config.sipConfig.proxies.append(options["proxy"])
        config.sipConfig.contactUriParams = options.get("contact_params", "")
        config.callConfig.prackUse = PRACK[options.get("prack", "off")]
        media = config.mediaConfig
        media.transportConfig.boundAddress = media.transportConfig.publicAddress = options["address"]
        media.srtpUse = SRTP[options.get("srtp", "off")]
        media.srtpSecureSignaling = 0
        # Otherwise every answer with two codecs is followed by a re-INVITE that names one.
        media.lockCodecEnabled = False
        if options.get("suites"):
            for name in options["suites"]:
                crypto = pj.SrtpCrypto()
                crypto.name = name
                media.srtpOpt.cryptos.append(crypto)
        # SDES alone: an offer of DTLS beside it would hide which keying was used.
        media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
        self.account = Account(self)
        self.account.create(config)

    def prepare(self, call):
        """Gives a call its tone to play and its file to record into, if the agent has them."""
        if self.play:
            call.player = pj.AudioMediaPlayer()
            call.player.createPlayer(self.play)
        if self.record:
            call.recorder = pj.AudioMediaRecorder()
            call.recorder.createRecorder(self.record)

    # Commands; each one's name is the "do" of its line.

    def do_call(self, to, headers=None, offer="early", **_):
        call = Call(self, self.account)
        self.prepare(call)
        param = pj.CallOpParam(True)
        if offer == "late":
            param.opt.flag |= pj.PJSUA_CALL_NO_SDP_OFFER
        for name, value in (headers or {}).items():
            header = pj.SipHeader()
            header.hName, header.hValue = name, value
            param.txOption.headers.append(header)
        call.makeCall(to, param)
        self.calls[call.getId()] = call
        tell("calling", call=call.getId())

    def do_answer(self, call, code, **_):
        param = pj.CallOpParam()
        param.statusCode = code
        self.calls[call].answer(param)

    def do_hold(self, call, **_):
        self.calls[call].setHold(pj.CallOpParam(True))

    def do_resume(self, call, **_):
        param = pj.CallOpParam(True)
        param.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.calls[call].reinvite(param)

    def do_reinvite(self, call, **_):
        self.calls[call].reinvite(pj.CallOpParam(True))

    def do_dtmf(self, call, digits, **_):
        self.calls[call].dialDtmf(digits)

    def do_hangup(self, call, code=0, **_):
        param = pj.CallOpParam()
        param.statusCode = code
        self.calls[call].hangup(param)

    def do_stats(self, call, **_):
        stream = self.calls[call].getStreamInfo(0)
        counters = self.calls[call].getStreamStat(0).rtcp
        tell(
            "stats",
            # The transport's own word: with RFC 8643 the stream's profile is RTP/AVP although it is encrypted.
            secure="SRTP status: Active" in self.calls[call].dump(True, ""),
            codec=stream.codecName,
            sent=counters.txStat.pkt,
            received=counters.rxStat.pkt,
            lost=counters.rxStat.loss,
            remote=stream.remoteRtpAddress,
        )

    def do_unregister(self, **_):
        self.account.setRegistration(False)

    def do_register(self, **_):
        self.account.setRegistration(True)

    def obey(self, line):
        command = json.loads(line)
        try:
            getattr(self, "do_" + command["do"])(**{k: v for k, v in command.items() if k != "do"})
        except pj.Error as error:
            tell("error", command=command["do"], text=error.info())

    def run(self):
        tell("ready")
        os.set_blocking(0, False)
        pending = b""
        while True:
            self.endpoint.libHandleEvents(10)
            if not select.select([0], [], [], 0)[0]:
                continue
            chunk = os.read(0, 65536)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if json.loads(line)["do"] == "quit":
                    return
                self.obey(line)


def main():
    agent = Agent(json.loads(sys.argv[1]))
    agent.run()
    agent.endpoint.hangupAllCalls()
    for _ in range(20):
        agent.endpoint.libHandleEvents(10)
    tell("bye")
    # pjsip's destructors run in no defined order once Python tears its objects down; nothing is left to save.
    os._exit(0)


main()
