'use strict';
// Brings what has changed into the page while somebody looks at it. Without it everything works; one loads the page again.
const parts = ['notes', 'state', 'choice', 'sessions'];
const before = Object.fromEntries(parts.map((id) => [id, document.getElementById(id).innerHTML]));
const timer = setInterval(async () => {
  if (document.hidden) return;
  let next;
  try {
    const reply = await fetch('?watch', { cache: 'no-store' });
    if (!reply.ok) throw new Error(reply.status);
    next = new DOMParser().parseFromString(await reply.text(), 'text/html');
  } catch {
    clearInterval(timer);
    document.getElementById('gone').hidden = false;
    return;
  }
  for (const id of parts) {
    const now = next.getElementById(id).innerHTML;
    if (now === before[id]) continue;
    before[id] = now;
    const place = document.getElementById(id);
    const focus = place.contains(document.activeElement) ? document.activeElement.id : '';
    const open = [...place.querySelectorAll('details[open]')].map((details) => details.id);
    place.innerHTML = now;
    for (const one of open) document.getElementById(one)?.setAttribute('open', '');
    if (focus) document.getElementById(focus)?.focus();
  }
}, 2000);
