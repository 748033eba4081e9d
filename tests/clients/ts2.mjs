// The TypeScript SDK 2.x: @modelcontextprotocol/client. It checks `iss`, and speaks the newest revision if the server
// does too.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { story } from './driver.mjs';

let transport;
await story('TypeScript SDK 2', {
  async connect(url, authProvider, fetch) {
    transport = new StreamableHTTPClientTransport(url, { authProvider, fetch });
    const client = new Client({ name: 'ts2', version: '1.0.0' }, { versionNegotiation: { mode: 'auto' } });
    await client.connect(transport);
    return { client };
  },
  finish: (callback) => transport.finishAuth(callback),
  unauthorized: (error) => error instanceof UnauthorizedError,
});
