// The token of this browser tab: kept for as long as the tab is open, and nowhere else.

const KEY = "weir-token";

export const token = () => sessionStorage.getItem(KEY);
export const keep = (text) => sessionStorage.setItem(KEY, text);
export const forget = () => sessionStorage.removeItem(KEY);
