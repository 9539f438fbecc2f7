/* SPDX-License-Identifier: GPL-2.0-or-later
 * Keeps the page true: asks for the status with its ETag, takes a new fragment when it changed,
 * and greys the page, with its age, when Sluice cannot be reached. Renders nothing itself.
 */
"use strict";
(function () {
    const every = 2000;
    const age = document.getElementById("age");
    let etag = null, last = Date.now(), busy = false, seen = null;

    function cutOff() {
        const seconds = Math.round((Date.now() - last) / 1000);
        const off = seconds >= 8;

        document.body.classList.toggle("stale", off);
        age.hidden = !off;
        if (off)
            age.textContent = "Cut off from Sluice: what you see is " + seconds + " s old";
    }

    async function look() {
        if (busy || document.hidden)
            return;
        busy = true;
        const abort = new AbortController();
        const timer = setTimeout(function () { abort.abort(); }, 5000);
        try {
            const headers = etag ? { "If-None-Match": etag } : {};
            const probe = await fetch("/api/v1/status",
                { headers: headers, method: "HEAD", cache: "no-store", signal: abort.signal });
            if (probe.status === 200) {
                const main = document.getElementById("live");
                const part = await fetch(main.dataset.from,
                    { cache: "no-store", signal: abort.signal });
                if (part.ok) {
                    const text = await part.text();
                    if (text !== seen) {
                        const open = new Set();
                        main.querySelectorAll("details[open][id]").forEach(
                            function (d) { open.add(d.id); });
                        main.innerHTML = text;
                        open.forEach(function (id) {
                            const d = document.getElementById(id);
                            if (d)
                                d.open = true;
                        });
                        seen = text;
                    }
                    etag = probe.headers.get("ETag");
                    last = Date.now();
                }
            } else if (probe.status === 304) {
                last = Date.now();
            }
        } catch (error) {
            /* cut off: cutOff() says for how long */
        } finally {
            clearTimeout(timer);
            busy = false;
            cutOff();
        }
    }

    setInterval(look, every);
    setInterval(cutOff, 1000);
    document.addEventListener("visibilitychange", look);
})();
