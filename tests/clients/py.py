"""The Python SDK: package `mcp`. Same story and same report as the TypeScript drivers (driver.mjs)."""

import asyncio
import base64
import json
import os
import sys
import time
import traceback
from pathlib import Path
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

MCP_URL = os.environ["MCP_URL"]
HERE = Path(__file__).parent
requests: list[list] = []


def report(step: str, **facts) -> None:
    print(json.dumps({"step": step, **facts}, default=str), flush=True)


def watched() -> list[list]:
    """The requests since the last call: `[method, path, status, grant_type]`."""
    seen, requests[:] = requests[:], []
    return seen


async def watch(response: httpx2.Response) -> None:
    request = response.request
    form = request.headers.get("content-type") == "application/x-www-form-urlencoded"
    grant = parse_qs(request.content.decode()).get("grant_type", [None])[0] if form else None
    requests.append([request.method, request.url.path, response.status_code, grant])


class FileStorage(TokenStorage):
    """A credential file, as a command-line client has one."""

    def __init__(self, file: str) -> None:
        self.file = Path(file)

    def _read(self) -> dict:
        return json.loads(self.file.read_text()) if self.file.exists() else {}

    def _keep(self, name: str, value) -> None:
        self.file.write_text(json.dumps(self._read() | {name: json.loads(value.model_dump_json())}))

    async def get_tokens(self) -> OAuthToken | None:
        tokens = self._read().get("tokens")
        return OAuthToken.model_validate(tokens) if tokens else None

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self._keep("tokens", tokens)

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        client = self._read().get("client")
        return OAuthClientInformationFull.model_validate(client) if client else None

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self._keep("client", client_info)


class User:
    """The loopback listener and the browser that ends there."""

    def __init__(self) -> None:
        self.sign_ins = 0
        self.visits: asyncio.Queue[str] = asyncio.Queue()

    async def listen(self) -> None:
        self.server = await asyncio.start_server(self._visit, "127.0.0.1", 0)
        self.uri = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/callback"

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = request.split(" ")[1]
        known = urlsplit(target).path == "/callback"
        text = "You can close this tab." if known else ""
        status = "200 OK" if known else "404 Not Found"
        head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close"
        writer.write(f"{head}\r\n\r\n{text}".encode())
        await writer.drain()
        writer.close()
        if known:
            self.visits.put_nowait(target)

    async def go(self, url: str) -> None:
        """What the SDK calls a redirect handler: sends the person off to `url`."""
        node = HERE / "node_modules/.bin/node"
        browser = await asyncio.create_subprocess_exec(node, HERE / "user.mjs", url, stdout=asyncio.subprocess.PIPE)
        printed, _ = await browser.communicate()
        if browser.returncode != 0:
            raise RuntimeError(f"the browser failed with {browser.returncode}")
        self.url, self.saw = url, json.loads(printed)

    async def come_back(self) -> AuthorizationCodeResult:
        """What the SDK calls a callback handler. The browser has been here already when it is asked."""
        self.callback = dict(parse_qsl(urlsplit(self.visits.get_nowait()).query))
        self.sign_ins += 1
        return AuthorizationCodeResult(
            code=self.callback["code"], state=self.callback.get("state"), iss=self.callback.get("iss")
        )


async def replay(client_id: str, refresh_token: str) -> dict:
    """Presents a spent refresh token once, as a second process with an old copy of the credential file would."""
    parts = urlsplit(MCP_URL)
    async with httpx2.AsyncClient() as http:
        prm = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-protected-resource{parts.path}"
        issuer = (await http.get(prm)).json()["authorization_servers"][0]
        server = (await http.get(f"{issuer}/.well-known/oauth-authorization-server")).json()
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
        response = await http.post(server["token_endpoint"], data=form)
        return {"status": response.status_code, "body": response.json()}


async def story() -> None:
    user, storage = User(), FileStorage(os.environ["CREDENTIALS"])
    await user.listen()
    metadata = OAuthClientMetadata(
        client_name="Python SDK",
        redirect_uris=[user.uri],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(MCP_URL, metadata, storage, user.go, user.come_back)

    def expire() -> None:
        # The SDK refreshes when the expiry it noted has passed; a 401 alone makes it sign in anew.
        auth.context.token_expiry_time = time.time() - 1

    http = httpx2.AsyncClient(auth=auth, timeout=60, event_hooks={"response": [watch]})
    async with http, Client(streamable_http_client(MCP_URL, http_client=http)) as client:
        # From the MCP URL alone: 401, discovery, registration, browser, token.
        tokens, registered = await storage.get_tokens(), await storage.get_client_info()
        report(
            "signed_in",
            requests=watched(),
            client_id=registered.client_id,
            redirect_uri=user.uri,
            authorize=dict(parse_qsl(urlsplit(user.url).query)),
            saw=user.saw,
            callback=user.callback,
            token={"scope": tokens.scope, "token_type": tokens.token_type, "expires_in": tokens.expires_in},
        )

        async def tool_names() -> list[str]:
            # What the SDK keeps from an earlier list would prove nothing about the token of now.
            return sorted(tool.name for tool in (await client.list_tools(cache_mode="bypass")).tools)

        async def call(name: str, arguments: dict) -> dict:
            return (await client.call_tool(name, arguments)).model_dump(by_alias=True, mode="json", exclude_none=True)

        report("tools", names=await tool_names())
        report("whoami", result=await call("whoami", {}))
        content = base64.b64encode(b"from the Python SDK").decode()
        report("stored", result=await call("store_artifact", {"filename": "note.txt", "content": content}))

        watched()
        expire()
        names = await tool_names()
        renewed = await storage.get_tokens()
        report(
            "refreshed",
            requests=watched(),
            names=names,
            sign_ins=user.sign_ins,
            new_access_token=renewed.access_token != tokens.access_token,
            new_refresh_token=renewed.refresh_token != tokens.refresh_token,
        )

        report("replayed", **await replay(registered.client_id, tokens.refresh_token))

        # The SDK knows nothing of that: it goes on with what it has, which is dead now.
        expire()
        names = await tool_names()
        report("recovered", names=names, requests=watched(), sign_ins=user.sign_ins, saw=user.saw)
    user.server.close()


try:
    asyncio.run(story())
except BaseException:
    report("failed", reason=traceback.format_exc(), requests=watched())
    sys.exit(1)
