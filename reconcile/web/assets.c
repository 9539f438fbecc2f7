/* SPDX-License-Identifier: GPL-2.0-or-later
 * The page's own files, taken in by the assembler, so that no generator and no CDN is needed.
 * Built from the root of the repository. Layer: web.
 */
#include "reconcile/web/web_impl.h"

#define ASSET(symbol, file)                                                                        \
    __asm__(".pushsection .rodata,\"a\"\n"                                                         \
            ".globl web_asset_" #symbol "\n"                                                       \
            "web_asset_" #symbol ":\n"                                                             \
            ".incbin \"reconcile/web/assets/" file "\"\n"                                          \
            ".globl web_asset_" #symbol "_end\n"                                                   \
            "web_asset_" #symbol "_end:\n"                                                         \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const unsigned char web_asset_##symbol[] __attribute__((visibility("hidden")));         \
    extern const unsigned char web_asset_##symbol##_end[] __attribute__((visibility("hidden")))

ASSET(css, "page.css");
ASSET(js, "page.js");
ASSET(icon, "icon.svg");

const struct web_asset web_assets[] = {
    {"page.css", "text/css; charset=utf-8", web_asset_css, web_asset_css_end},
    {"page.js", "text/javascript; charset=utf-8", web_asset_js, web_asset_js_end},
    {"icon.svg", "image/svg+xml", web_asset_icon, web_asset_icon_end},
};
const size_t web_assets_count = SL_COUNT(web_assets);
