import AttuneJSON
import Hummingbird

/// `/`: a page to ask base and tuned model side by side. One file without outside parts.
enum Page {
    @Sendable static func respond(_: JSON, _ call: Call) async throws -> Response {
        Response(
            status: .ok,
            headers: [
                .contentType: "text/html; charset=utf-8",
                .contentSecurityPolicy: "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                    + "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ], body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    }

    // All text of models and users goes in through textContent, never as markup.
    private static let html = #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>Attune</title>
        <style>
          :root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent);
                  --soft: color-mix(in srgb, currentColor 6%, transparent); --mark: #3b6ef5; }
          * { box-sizing: border-box; }
          body { margin: 0 auto; max-width: 75rem; padding: 1rem; min-height: 100vh; display: flex;
                 flex-direction: column; gap: 1rem; font: 16px/1.5 system-ui, sans-serif; }
          header { display: flex; align-items: baseline; gap: 1rem; }
          h1 { font-size: 1.2rem; margin: 0; }
          header span { opacity: .7; }
          main { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; flex: 1; }
          section { border: 1px solid var(--line); border-radius: .6rem; display: flex; flex-direction: column;
                    min-width: 0; }
          section > label { padding: .6rem .8rem; border-bottom: 1px solid var(--line); display: flex; gap: .6rem;
                            align-items: center; }
          select, textarea, input, button { font: inherit; color: inherit; background: transparent;
                    border: 1px solid var(--line); border-radius: .4rem; padding: .35rem .6rem; }
          select { flex: 1; min-width: 0; }
          option { color: black; background: white; }
          .talk { flex: 1; overflow: auto; padding: .8rem; display: flex; flex-direction: column; gap: .6rem;
                  min-height: 14rem; }
          .talk div { white-space: pre-wrap; overflow-wrap: anywhere; padding: .5rem .7rem; border-radius: .5rem; }
          .user { background: var(--soft); align-self: end; max-width: 90%; }
          .assistant { border-left: 3px solid var(--mark); border-radius: 0 .5rem .5rem 0 !important; }
          .failed { color: #c22; }
          .note { font-size: .8rem; opacity: .7; padding: .3rem .8rem .6rem; min-height: 1.9rem; }
          form { display: grid; grid-template-columns: 1fr auto; gap: .6rem; }
          textarea { resize: vertical; min-height: 3.6rem; }
          form > div { grid-column: 1 / -1; display: flex; flex-wrap: wrap; gap: 1rem; align-items: center;
                       font-size: .9rem; }
          input[type=number] { width: 5.5rem; }
          button { cursor: pointer; }
          form > button { background: var(--mark); border-color: var(--mark); color: white; padding: 0 1.4rem; }
          button:disabled { opacity: .5; cursor: default; }
          @media (max-width: 45rem) { main { grid-template-columns: 1fr; } }
        </style>
        <header><h1>Attune</h1><span>one question, two models</span></header>
        <main>
          <section><label>Model <select></select></label><div class="talk" aria-live="polite"></div>
            <div class="note"></div></section>
          <section><label>Model <select></select></label><div class="talk" aria-live="polite"></div>
            <div class="note"></div></section>
        </main>
        <form>
          <textarea name="text" placeholder="Ask both models" autofocus required></textarea>
          <button name="send">Send</button>
          <div>
            <label>Temperature <input name="temperature" type="number" min="0" max="2" step="0.1" value="0"></label>
            <label>Tokens <input name="tokens" type="number" min="1" max="100000" value="256"></label>
            <button type="button" name="stop" disabled>Stop</button>
            <button type="button" name="clear">New conversation</button>
          </div>
        </form>
        <script>
          "use strict";
          const form = document.forms[0], field = form.elements;
          const sides = [...document.querySelectorAll("section")].map(section => ({
            choice: section.querySelector("select"), talk: section.querySelector(".talk"),
            note: section.querySelector(".note"), messages: [] }));
          let abort = null;

          function bubble(side, role, text) {
            const div = document.createElement("div");
            div.className = role;
            div.textContent = text;
            side.talk.append(div);
            side.talk.scrollTop = side.talk.scrollHeight;
            return div;
          }

          async function ask(side, text, signal) {
            // A new conversation has messages of its own; an answer that still ends goes to the old one.
            const messages = side.messages;
            messages.push({ role: "user", content: text });
            bubble(side, "user", text);
            const shown = bubble(side, "assistant", "");
            const start = performance.now();
            let answer = "", first = 0, usage = null;
            try {
              const response = await fetch("v1/chat/completions", { method: "POST", signal,
                headers: { "content-type": "application/json" },
                body: JSON.stringify({ model: side.choice.value, messages, stream: true,
                  temperature: Number(field.temperature.value), max_tokens: Number(field.tokens.value),
                  stream_options: { include_usage: true } }) });
              if (!response.ok) throw new Error((await response.json()).error.message);
              const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
              let rest = "";
              for (;;) {
                const { value, done } = await reader.read();
                if (done) break;
                rest += value;
                const lines = rest.split("\n\n");
                rest = lines.pop();
                for (const line of lines) {
                  if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
                  const chunk = JSON.parse(line.slice(6));
                  if (chunk.error) throw new Error(chunk.error.message);
                  usage = chunk.usage || usage;
                  const piece = chunk.choices[0]?.delta?.content;
                  if (!piece) continue;
                  first = first || performance.now();
                  answer += piece;
                  shown.textContent = answer;
                  side.talk.scrollTop = side.talk.scrollHeight;
                }
              }
            } catch (error) {
              if (error.name !== "AbortError") { shown.className = "failed"; shown.textContent = error.message; }
            }
            messages.push({ role: "assistant", content: answer });
            const total = (performance.now() - start) / 1000;
            if (usage && messages === side.messages) side.note.textContent = usage.completion_tokens + " tokens in " + total.toFixed(2)
              + " s, the first after " + ((first - start) / 1000).toFixed(2) + " s";
          }

          form.addEventListener("submit", async event => {
            event.preventDefault();
            const text = field.text.value.trim();
            if (!text || abort) return;
            field.text.value = "";
            abort = new AbortController();
            field.send.disabled = true;
            field.stop.disabled = false;
            await Promise.all(sides.map(side => ask(side, text, abort.signal)));
            abort = null;
            field.send.disabled = false;
            field.stop.disabled = true;
            field.text.focus();
          });
          field.text.addEventListener("keydown", event => {
            if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); form.requestSubmit(); }
          });
          field.stop.addEventListener("click", () => abort && abort.abort());
          field.clear.addEventListener("click", () => {
            if (abort) abort.abort();
            for (const side of sides) { side.messages = []; side.talk.replaceChildren(); side.note.textContent = ""; }
          });

          fetch("v1/models").then(response => response.json()).then(list => {
            for (const [place, side] of sides.entries()) {
              for (const model of list.data) {
                const option = document.createElement("option");
                option.value = model.id;
                option.textContent = model.id + (model.parent ? " (tuned)" : "");
                side.choice.append(option);
              }
              const tuned = list.data.findIndex(model => model.parent);
              side.choice.selectedIndex = place === 0 || tuned < 0 ? 0 : tuned;
            }
          });
        </script>
        </html>
        """#
}
