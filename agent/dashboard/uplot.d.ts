/** uPlot's module is served as uplot.js. */
export { default } from 'uplot';
