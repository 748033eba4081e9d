// Passkeys, the one thing that a form cannot do: asks the browser, puts the answer into the form's fields and sends it.
'use strict';
(() => {
  if (!window.PublicKeyCredential) return;
  const bytes = (text) =>
    Uint8Array.from(atob(text.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
  const text = (buffer) => {
    let binary = '';
    for (const byte of new Uint8Array(buffer)) binary += String.fromCharCode(byte);
    return btoa(binary).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  };
  const words = {
    NotAllowedError: 'Nothing was sent: the browser was told to stop, or nobody answered in time.',
    InvalidStateError: 'This device is registered already.',
  };

  const create = async ({ challenge, rp, user, email, known, algorithms }) => {
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: new TextEncoder().encode(challenge),
        rp: { id: rp, name: rp },
        user: { id: new TextEncoder().encode(user), name: email, displayName: email },
        pubKeyCredParams: algorithms.split(' ').map((alg) => ({ type: 'public-key', alg: Number(alg) })),
        excludeCredentials: known.split(' ').filter(Boolean).map((id) => ({ type: 'public-key', id: bytes(id) })),
        authenticatorSelection: { residentKey: 'required', requireResidentKey: true, userVerification: 'required' },
        attestation: 'none',
      },
    });
    return {
      client_data: text(made.response.clientDataJSON),
      attestation: text(made.response.attestationObject),
    };
  };

  const get = async ({ challenge, rp }) => {
    const found = await navigator.credentials.get({
      publicKey: { challenge: new TextEncoder().encode(challenge), rpId: rp, userVerification: 'required' },
    });
    return {
      id: text(found.rawId),
      client_data: text(found.response.clientDataJSON),
      authenticator_data: text(found.response.authenticatorData),
      signature: text(found.response.signature),
      user_handle: text(found.response.userHandle ?? new ArrayBuffer(0)),
    };
  };

  for (const form of document.querySelectorAll('form[data-passkey]')) {
    form.hidden = false;
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const problem = form.querySelector('[role=alert]');
      problem.hidden = true;
      try {
        const answer = await (form.dataset.passkey === 'create' ? create : get)(form.dataset);
        for (const [name, value] of Object.entries(answer)) form.elements.namedItem(name).value = value;
        form.submit();
      } catch (error) {
        problem.textContent = words[error.name] ?? `The browser refused: ${error.message}`;
        problem.hidden = false;
      }
    });
  }
})();
