// The TypeScript SDK 1.x, as its users know it: @modelcontextprotocol/sdk.
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { story } from './driver.mjs';

let transport;
await story('TypeScript SDK 1', {
  async connect(url, authProvider, fetch) {
    transport = new StreamableHTTPClientTransport(url, { authProvider, fetch });
    const client = new Client({ name: 'ts1', version: '1.0.0' });
    await client.connect(transport);
    return { client };
  },
  finish: (callback) => transport.finishAuth(callback.get('code')),
  unauthorized: (error) => error instanceof UnauthorizedError,
});
