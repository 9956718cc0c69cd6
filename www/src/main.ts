/**
 * Where the page begins: styles, the app, its parts, and the engine's loading.
 *
 * It knows nothing of what the parts do. Invariant: the whole page is built once; parts change
 * themselves when the signals that they watch change.
 */

import "uplot/dist/uPlot.min.css";
import "./style/tokens.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/chat.css";
import "./style/turns.css";
import "./style/threads.css";
import "./style/panels.css";
import "./style/history.css";
import { App } from "./app";
import { closeOtherWays } from "./guard";
import { learnWhenIdle } from "./idle";
import { idleAfter_ms } from "./settings";
import { chatView } from "./ui/chat";
import { dataPanel } from "./ui/data";
import { header } from "./ui/header";
import { learnPanel } from "./ui/learn";
import { loading } from "./ui/loading";
import { navigation } from "./ui/navigation";
import { noticeBar } from "./ui/notice";
import { shortcuts } from "./ui/shortcuts";
import { keepOffline } from "./offline";
import { threadList } from "./ui/threads";
import { versionsPanel } from "./ui/versions";

closeOtherWays();
const app = new App();

document.body.append(
  header(app),
  loading(app),
  threadList(app),
  chatView(app),
  navigation(app),
  learnPanel(app),
  versionsPanel(app),
  dataPanel(app),
  noticeBar(app),
);

shortcuts(app);
learnWhenIdle(app, idleAfter_ms);
app.loader.stage.watch((stage) => {
  document.body.dataset["stage"] = stage.name;
  // Once the chat is there: what is kept for later would stand in the way of what is waited for now.
  if (stage.name === "ready") keepOffline();
});
app.view.watch((view) => {
  document.body.dataset["view"] = view;
});

app.conversations.recall().catch((error: unknown) => app.fail(error));
void app.start();
