"""Web pages: an article among all that stands around it."""

from __future__ import annotations

from tests.corpus import Piece, text

NEWS = text("""
<!doctype html><html lang="en"><head><title>Dam repaired - The Valley Post</title>
<meta property="article:published_time" content="2021-05-04T09:00:00Z"><meta name="author" content="Ann Lee"></head><body>
<div id="cookie-banner"><p>We use cookies to improve your experience on our site.</p><button>Accept all</button></div>
<a class="skip-link" href="#main">Skip to content</a>
<header class="site-header"><a href="/">The Valley Post</a><nav><ul><li><a href="/">Home</a><li><a href="/s">Sport</a></ul></nav>
<form role="search"><input><button>Search</button></form></header>
<main id="main"><article><header><h1>The old dam is repaired</h1><p class="byline">By Ann Lee</p></header>
<div class="share-buttons"><a href="#">Share on one site</a> <a href="#">Tweet</a></div>
<p>After nine years of leaking, the dam above the village was repaired last week.</p>
<h2>What it cost</h2><p>The council paid four million crowns, twice as much as was planned.</p>
<ul><li>two million for concrete</li><li>two million for pumps</li></ul>
<table><tr><th>Year</th><th>Leak</th></tr><tr><td>2012</td><td>3 litres</td></tr><tr><td>2020</td><td>90 litres</td></tr></table>
<aside class="related"><h3>Related stories</h3><ul><li><a href="#">Flood in the valley</a></li></ul></aside>
<p>Engineers will inspect the walls again in spring.</p></article></main>
<aside><h2>Most read</h2><ol><li><a href="#">Bear seen near school</a><li><a href="#">Bus fares rise</a></ol></aside>
<footer><p>© The Valley Post. All rights reserved.</p><a href="#">Imprint</a></footer></body></html>
""")

DIVS = text("""
<html><head><title>Keeping bees</title></head><body><div id="wrap"><div id="top"><div class="logo">Bee Club</div>
<div class="menu"><a href="a">Home</a> | <a href="b">About us</a> | <a href="c">Members</a> | <a href="d">Contact</a></div></div>
<div class="breadcrumbs"><a href="/">Home</a> &gt; <a href="/b">Guides</a> &gt; Keeping bees</div>
<div id="content"><div class="title"><h1>Keeping bees through the winter</h1></div>
<div>Bees do not sleep in winter: they form a ball and shiver to keep their queen warm.<br><br>
A hive needs about fifteen kilograms of honey to last until <a href="w">the first willow</a> blooms.</div>
<div>Never open a hive below ten degrees.</div></div>
<div class="sidebar"><div class="widget">Latest posts</div><div><a href="1">Swarms in May</a></div><div><a href="2">New hives</a></div></div>
<div id="bottom" class="footer-links"><a href="p">Privacy</a> <a href="t">Terms</a> <a href="m">Sitemap</a></div></div></body></html>
""")

TABLES = text("""
<html><head><title>Lighthouse</title></head><body bgcolor=white><table width="100%"><tr><td colspan=2><h1>The lighthouse at Skerry</h1>
<tr><td><a href=1>Home</a><br><a href=2>Ships</a><br><a href=3>Lights</a><br><a href=4>Guestbook</a>
<td><p>The lighthouse was built in 1854 by two brothers who had never seen the sea.
<p>Its lamp burned whale oil until paraffin came.
<table border=1><tr><td>Height<td>31 metres<tr><td>Range<td>18 miles</table></table></body></html>
""")

BLOG = text("""
<html><head><title>Notes of a gardener</title></head><body><nav><a href="/">Home</a></nav><main>
<article><h2><a href="/1">Potatoes in sand</a></h2><p>I planted the potatoes in pure sand this year and none was eaten by slugs.</p></article>
<article><h2><a href="/2">Late frost</a></h2><p>The frost of the twelfth of May took all the blossom of the pear tree.</p></article>
</main><div class="pagination"><a href="?2">Older posts</a></div><footer>Powered by nothing</footer></body></html>
""")

MANUAL = text("""
<html><head><title>pumpctl manual</title></head><body><div class="wy-nav-side"><nav><a href="i">Install</a><a href="u">Use</a></nav></div>
<div role="main"><h1>pumpctl</h1><p>Controls the pumps of a station from the command line.</p>
<aside class="note"><p>Stop the pump before you change its direction.</p></aside>
<h2>Options</h2><dl><dt>--speed N</dt><dd>Turns the pump N times a minute.</dd><dt>--dry</dt><dd>Only says what would be done.</dd></dl>
<pre>pumpctl start --speed 90
pumpctl stop</pre>
<h2>See also</h2><ul><li><a href="v">valvectl</a></li><li><a href="g">gatectl</a></li><li><a href="m">meterctl</a></li></ul></div>
<footer>Built with a generator.</footer></body></html>
""")

LINKS = text("""
<html><head><title>Finding aids</title></head><body><h1>Finding aids</h1><ul>
<li><a href="1">Papers of the harbour office, 1790-1850</a></li><li><a href="2">Letters of the salt merchants, 1801-1820</a></li>
<li><a href="3">Maps of the northern dikes, 1840</a></li></ul></body></html>
""")

HIDDEN = text("""
<html><body><h1>Opening hours</h1><p>The reading room is open from nine to five, but not on Mondays.</p>
<div hidden><p>Closed for works.</p></div><div style="display: none">Subscribe now!</div>
<noscript>Please enable scripts.</noscript><template><p>{{ text }}</p></template><p aria-hidden="true">decoration</p>
<div class="modal newsletter-signup"><p>Get our newsletter every week.</p></div></body></html>
""")

WIKI = text("""
<html><head><title>Ore Mountains - Encyclopedia</title></head><body><div id="mw-navigation"><ul><li><a href="m">Main page</a></li>
<li><a href="r">Random</a></li></ul></div><div id="content"><h1>Ore Mountains</h1>
<table class="infobox"><tr><th>Highest point</th><td>Klínovec</td></tr><tr><th>Length</th><td>150 km</td></tr></table>
<p>The Ore Mountains lie along the border of two countries and were mined for <a href="s">silver</a> and <a href="t">tin</a>.</p>
<div id="toc" class="toc"><h2>Contents</h2><ul><li><a href="#h">1 History</a></li><li><a href="#g">2 Geology</a></li></ul></div>
<h2>History <span class="mw-editsection">[<a href="e">edit</a>]</span></h2>
<p>Miners of Freiberg found silver in 1168 in the ruts of a cart.</p></div>
<div id="footer"><ul><li>Text is free to copy.</li><li><a href="p">Privacy policy</a></li></ul></div></body></html>
""")

INN = text("""
<html><body><div class="widget-nav"><a href="1">Start</a> <a href="2">Zimmer</a></div><h1>Gasthof zur Post</h1>
<div class="menu"><h2>Menu</h2><p>Roast goose with red cabbage is served from Martinmas to Christmas.</p></div>
<p>The inn has nine rooms and a stable for twenty horses, and is closed in November.</p></body></html>
""")

CYRILLIC = (
    '<html><head><meta charset="windows-1251"><title>Мельница</title></head><body><p>Мельницу построили в 1793 году '
    "на левом берегу реки.</p></body></html>"
).encode("windows-1251")

JAPANESE = (
    '<html><head><meta http-equiv="Content-Type" content="text/html; charset=Shift_JIS"><title>灯台</title></head>'
    "<body><h1>灯台の歴史</h1><p>この灯台は一八七〇年に建てられました。</p></body></html>"
).encode("shift_jis")

PIECES = [
    Piece(
        "news.html",
        NEWS,
        [
            "[The old dam is repaired › By Ann Lee] After nine years of leaking, the dam above the village was repaired last week.",
            "[The old dam is repaired › What it cost] The council paid four million crowns, twice as much as was planned.",
            "[The old dam is repaired › What it cost] two million for concrete\ntwo million for pumps",
            "[The old dam is repaired › What it cost] Year; Leak\n2012; 3 litres\n2020; 90 litres",
            "[The old dam is repaired › What it cost] Engineers will inspect the walls again in spring.",
        ],
        title="Dam repaired - The Valley Post",
        date="2021-05-04",
        metadata={"author": "Ann Lee", "language": "en"},
        question="How much did the council pay for the repair of the dam?",
        answer="The council paid four million crowns",
    ),
    Piece(
        "bees.html",
        DIVS,
        [
            "[Keeping bees through the winter] Bees do not sleep in winter: they form a ball and shiver to keep their queen warm.",
            "[Keeping bees through the winter] A hive needs about fifteen kilograms of honey to last until the first willow blooms.",
            "[Keeping bees through the winter] Never open a hive below ten degrees.",
        ],
        title="Keeping bees",
    ),
    Piece(
        "lighthouse.htm",
        TABLES,
        [
            "[The lighthouse at Skerry] The lighthouse was built in 1854 by two brothers who had never seen the sea.",
            "[The lighthouse at Skerry] Its lamp burned whale oil until paraffin came.",
            "[The lighthouse at Skerry] Height; 31 metres\nRange; 18 miles",
        ],
        title="Lighthouse",
    ),
    Piece(
        "gardener.html",
        BLOG,
        [
            "[Potatoes in sand] I planted the potatoes in pure sand this year and none was eaten by slugs.",
            "[Late frost] The frost of the twelfth of May took all the blossom of the pear tree.",
        ],
        title="Notes of a gardener",
    ),
    Piece(
        "manual.html",
        MANUAL,
        [
            "[pumpctl] Controls the pumps of a station from the command line.",
            "[pumpctl] Stop the pump before you change its direction.",
            "[pumpctl › Options] --speed N\nTurns the pump N times a minute.\n--dry\nOnly says what would be done.",
            "[pumpctl › Options] pumpctl start --speed 90\npumpctl stop",
            "[pumpctl › See also] valvectl\ngatectl\nmeterctl",
        ],
        title="pumpctl manual",
    ),
    Piece(
        "links.html",
        LINKS,
        [
            "[Finding aids] Papers of the harbour office, 1790-1850\nLetters of the salt merchants, 1801-1820\n"
            "Maps of the northern dikes, 1840",
        ],
        title="Finding aids",
    ),
    Piece("hours.html", HIDDEN, ["[Opening hours] The reading room is open from nine to five, but not on Mondays."]),
    Piece(
        "wiki.html",
        WIKI,
        [
            "[Ore Mountains] Highest point; Klínovec\nLength; 150 km",
            "[Ore Mountains] The Ore Mountains lie along the border of two countries and were mined for silver and tin.",
            "[Ore Mountains › History] Miners of Freiberg found silver in 1168 in the ruts of a cart.",
        ],
        title="Ore Mountains - Encyclopedia",
    ),
    Piece(
        "inn.html",
        INN,
        [
            "[Gasthof zur Post › Menu] Roast goose with red cabbage is served from Martinmas to Christmas.",
            "[Gasthof zur Post › Menu] The inn has nine rooms and a stable for twenty horses, and is closed in November.",
        ],
    ),
    Piece("mill.html", CYRILLIC, ["Мельницу построили в 1793 году на левом берегу реки."], title="Мельница"),
    Piece("lighthouse-ja.html", JAPANESE, ["[灯台の歴史] この灯台は一八七〇年に建てられました。"], title="灯台"),
]
