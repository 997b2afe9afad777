/** A page for a person who opens the registry's address in a browser. @param url scheme, host and prefix of the registry */
export function rootPage(url: string): string {
  const host = escapeHtml(url.replace(/^https?:\/\//, '').replace(/\/.*$/, ''));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Container registry</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 1rem/1.6 system-ui, sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem; }
  pre { overflow-x: auto; padding: 1rem; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: 0.5rem; }
</style>
<h1>Container registry</h1>
<p>This address serves container images to docker, podman and other clients, by Portcullis. There is nothing to see for a browser.</p>
<pre>docker login ${host}
docker pull ${host}/REPOSITORY:TAG</pre>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
