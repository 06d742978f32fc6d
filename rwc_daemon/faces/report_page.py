"""The frame of the report's page; `report.as_page` fills the names in braces."""

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>RWC conversion: {voice}</title>
<style>
body {{ font: 14px/1.45 system-ui, "DejaVu Sans", sans-serif; color: #27313f; background: #fff; margin: 0 auto;
  padding: 28px 32px; max-width: 1240px }}
h1 {{ font-size: 23px; margin: 0 }}
h2 {{ font-size: 16px; margin: 30px 0 8px }}
header p, footer, .none, small {{ color: #6c7786 }}
header p {{ margin: 2px 0 18px }}
.tiles {{ display: flex; flex-wrap: wrap; gap: 10px; margin-bottom: 22px }}
.tile {{ border: 1px solid #e1e5ea; border-radius: 8px; padding: 9px 16px; min-width: 118px }}
.tile b {{ display: block; font-size: 20px; font-weight: 600 }}
.tile span {{ color: #6c7786 }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }}
th {{ text-align: left; font-weight: 500; color: #6c7786; vertical-align: bottom }}
th, td {{ padding: 6px 10px 6px 0; border-bottom: 1px solid #e8ebef; white-space: nowrap }}
th small, td small {{ font-size: 12px }}
.name {{ max-width: 190px; overflow: hidden; text-overflow: ellipsis; font-weight: 500 }}
.name audio {{ display: block; width: 180px; height: 26px; margin-top: 3px }}
.folder td {{ padding-top: 16px; color: #6c7786; white-space: normal }}
figure {{ display: inline-flex; align-items: center; gap: 8px; margin: 10px 22px 0 0 }}
.bad {{ color: #b3261e; white-space: normal }}
.wide {{ overflow-x: auto }}
svg {{ display: block }}
path {{ fill: none; stroke-linecap: round; stroke-linejoin: round }}
.wanted {{ stroke: #9cc3e6; stroke-width: 4 }}
.got {{ stroke: #c8501e; stroke-width: 1.6 }}
img {{ width: 100%; border: 1px solid #e1e5ea; border-radius: 8px; margin-top: 22px }}
footer {{ margin-top: 24px; font-size: 13px }}
dl {{ display: grid; grid-template-columns: max-content 1fr; gap: 3px 16px; margin: 0 }}
dt {{ color: #27313f }}
dd {{ margin: 0 }}
</style>
<header>
<h1>Converted with “{voice}”</h1>
<p>{controls} · seed {seed} · {written}</p>
</header>
<div class="tiles">{tiles}</div>
<div class="wide"><table>
<tr><th>file<th>pitch: <span style="color:#5a97cc">wanted</span>, <span style="color:#c8501e">obtained</span>
<th>correlation<th>off by, cents<br><small>median / 95 %</small><th>pitch, Hz<br><small>wanted → obtained</small>
<th>loudness, LUFS<br><small>in → out</small><th>peak<br><small>dBFS</small><th>clipped<br><small>samples</small>
<th>SNR, dB<br><small>in → out</small><th>length<br><small>real-time factor</small></tr>
{rows}
</table></div>
{pictures}
<footer>
<h2>What the figures mean</h2>
<dl>
<dt>pitch</dt><dd>10 ms frames that are voiced in both files; wanted is the source's pitch moved by the asked shift.
 A voice that sets its own pitch (robot) or has none (whisper) shows a dash.</dd>
<dt>loudness</dt><dd>integrated, ITU-R BS.1770-4, of the mono mix.</dd>
<dt>clipped</dt><dd>samples of the result at full scale.</dd>
<dt>SNR</dt><dd>an estimate: the louder half of 20 ms frames over the quietest twentieth; 100 is digital silence.</dd>
<dt>real-time factor</dt><dd>time to convert over length: 0.5 is twice as fast as real time, in one process.
 At the top: the whole run, all processes together.</dd>
<dt>players</dt><dd>the source above, the result below; they need the files beside this page.</dd>
<dt>picture</dt><dd>the file whose pitch is furthest off, its first 20 s, with their sound.</dd>
</dl>
</footer>
</html>
"""
